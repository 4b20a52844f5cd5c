"""One exchange in every dialect, and one `tidemill up` that records all of them from it."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.gaps import Gap
from storage.catalog.session import open_catalog
from storage.data_folder import lake_path
from storage.ledger.server import serve

sys.path.insert(0, str(Path(__file__).parent))
import venues_exchange
from arena import Arena
from truth import waiting

SPOT, PERPETUAL = ("BTC-USDT", "ETH-USDT", "SOL-USDT"), ("AVAX-USDT-PERP", "LINK-USDT-PERP")


@dataclass(frozen=True, slots=True)
class Spoken:
    """Say how a venue's feed reaches the exchange, and what there is of it.

    ``reach``: so many trades REST gives when asked for the latest; None: as many as anyone could miss.
    """

    venue: str
    exchange: str
    instruments: tuple[str, ...]
    socket_path: str = ""
    rest_path: str = ""
    channels: tuple[str, ...] = ("trade", "quote", "kline_1m")
    reach: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Give the instruments' names."""
        return tuple(f"{self.exchange}:{one}" for one in self.instruments)

    def feed(self) -> str:
        """Give its feed in the settings."""
        return f"""
[[feeds]]
name = "{self.venue}"
instruments = {list(self.names)}
channels = {list(self.channels)}
websocket_url = "ws://127.0.0.1:{{ports[0]}}{self.socket_path}"
rest_url = "http://127.0.0.1:{{ports[0]}}{self.rest_path}"
history_minutes = 2
"""


_MARKED = ("trade", "quote", "kline_1m", "mark_price")
SPOKEN = (
    Spoken("binance", "binance", SPOT),
    Spoken("okx", "okx", (*SPOT[:2], PERPETUAL[0]), "/ws/v5"),
    Spoken("bybit", "bybit", SPOT[:2], reach=60),
    Spoken("bybit-linear", "bybit", PERPETUAL, channels=_MARKED, reach=1000),
    Spoken("deribit", "deribit", (*SPOT[:2], PERPETUAL[0]), "/ws/api/v2", "/api/v2"),
    Spoken("bitget", "bitget", SPOT[:2], "/v2/ws/public"),
    Spoken("bitget-usdt", "bitget", PERPETUAL, "/v2/ws/public"),
    # It pages by days before today, and the market is of another day: there is the first page only.
    Spoken("upbit", "upbit", SPOT[:2], reach=200),
)
BY_NAME = {name: one for one in SPOKEN for name in one.names}
CHAINING = ("binance", "okx", "deribit")
"""Exchanges whose ids tell what is missing; of the others time does."""

_STEADY = 2.0
_REACHED = "SELECT instrument, epoch_us(max(ts)) FROM lake.trades GROUP BY instrument"
_CONFIG = """
[candles]
timeframes = ["1m"]
[[strategies]]
name = "rsi"
params = {{ length = 3, oversold = 45, overbought = 55 }}
[journal]
segment_bytes = 4_194_304
[recorder]
first_data_s = 3
stale_s = 3
"""


class VenuesArena(Arena):
    """Let the exchange have the market of `venues_exchange`, which can be drawn again to know what was sent."""

    def __init__(self, folder: Path, rate: float, speed: float, seed: int) -> None:
        self.rate, self.seed = rate, seed
        argv = [sys.executable, venues_exchange.__file__, str(rate), str(speed), str(seed)]
        super().__init__(folder, _CONFIG + "".join(one.feed() for one in SPOKEN), argv)
        self.exchange = self.exchanges[0]

    def halt(self) -> int:
        """Let the market stand still, and all be sent; give its time."""
        self.exchange.ask("pause", "POST")
        while (state := self.exchange.ask("state"))["sent_through"] < state["now"]:
            time.sleep(0.05)
        return int(state["now"])

    def ready(self, patience: float = 90) -> None:
        """Wait until all feeds are recorded."""
        deadline = time.monotonic() + patience
        while self.health("recorder")["state"] != "healthy":
            assert time.monotonic() < deadline, f"{self.health('recorder')}; see {self.folder}"
            time.sleep(0.25)

    def settled(
        self, last: Mapping[str, int], patience: float, may_stay: Callable[[Gap], bool] = lambda gap: False
    ) -> float:
        """Wait until the last trades are stored and nothing is open; give the seconds until nothing changed any more.

        ``last`` are the event times of the last trades, by instrument. A gap that ``may_stay`` open is not waited
        for; others for ``patience`` seconds at most.
        """
        began = changed = time.monotonic()
        before: object = None
        while True:
            self.restart()
            with self.opened() as (session, ledger):
                reached = dict(session.execute(_REACHED).fetchall())
                gaps, dirty = ledger.gaps(), waiting(session, ledger)
            now, seen = time.monotonic(), (reached, gaps, dirty)
            changed, before = (changed if seen == before else now), seen
            lacking = {name: ts for name, ts in last.items() if reached.get(name, 0) < ts}
            open_ = [gap for gap in gaps if gap.state == "open" and not may_stay(gap)]
            if not lacking and not dirty and not open_ and now - changed >= _STEADY:
                return changed - began
            assert now - began < patience, f"after {patience} s: {lacking}, {open_}, {dirty}; see {self.folder}"
            time.sleep(0.25)

    @contextlib.contextmanager
    def catalog(self) -> Iterator[Any]:
        """Open lake and ledger to ask both at once."""
        with serve(self.settings, self.data) as address:
            session = open_catalog(address, lake_path(self.settings, self.data))
            try:
                yield session
            finally:
                session.close()

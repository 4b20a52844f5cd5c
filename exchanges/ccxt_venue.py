"""Any exchange whose trades ccxt can watch, as a venue: ``ccxt-kraken``, ``ccxt-gate``, …; trades only.

What is recorded is in a form of our own (`exchanges.ccxt_frames`), because ccxt hands over objects. Its ids tell
trades apart and prove nothing here: ccxt says of no exchange whether they chain. What proves is a watch without a
break, and what REST gives after one, where that hangs together with what is known. What is not seen stands in
`exchanges.ccxt_socket`.

Nothing in this file needs ccxt: the dataflow reads frames, and is not to pay the second and the 100 MB that importing
ccxt costs. What does need it is loaded when it is first asked for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import UnknownName, UserError
from core.instruments import Instrument
from core.records import VenueCandles
from core.trades import TradeBatch
from exchanges import ccxt_answers, ccxt_frames, ccxt_symbols
from exchanges.budgets import Budgets
from exchanges.carrier import Dial
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message
from exchanges.rest import Rest
from exchanges.venue import Budget, Connection, Heartbeat, Limits, Request, Subscribing

PREFIX = "ccxt-"
_CHANNEL = "trade"
_BUDGET_SECONDS = 10
_OF_MARKETS = 4
# Of the exchanges' own limits ccxt knows the pace of requests only: these are few enough for any that is known.
_LIMITS = Limits(streams=50, streams_per_message=50, messages=100, messages_per=1, attempts=20, attempts_per=60,
                 lifetime=86_400)  # fmt: skip


@dataclass(frozen=True)
class CcxtVenue:
    """Speak to one exchange of ccxt's; the addresses replace scheme, host and port of its own.

    Properties that are not of `exchange_id` alone raise `UserError` where ccxt cannot watch its trades.
    """

    exchange_id: str
    addresses: tuple[str | None, str | None] = (None, None)
    listed: Mapping[str, Instrument] = field(default_factory=dict)
    limits: Limits = _LIMITS
    trade_channel: str = _CHANNEL

    @property
    def name(self) -> str:
        """Give the venue's name."""
        return PREFIX + self.exchange_id

    @property
    def exchange(self) -> str:
        """Give the prefix of its instruments' names."""
        return ccxt_symbols.prefix(self.exchange_id)

    @property
    def websocket_url(self) -> str:
        """Give the address that connections are counted by: ccxt has several for some exchanges."""
        return str(self._facts.websocket_url)

    @property
    def rest_url(self) -> str:
        """Give the address that requests are counted by."""
        return str(self._facts.rest_url)

    @property
    def heartbeat(self) -> Heartbeat:
        """Leave heartbeats to ccxt; where it notices nothing for three of its intervals, we do."""
        return Heartbeat(by="server", interval=self._facts.keep_alive, timeout=3 * self._facts.keep_alive)

    @property
    def budget(self) -> Budget:
        """Give the pace of requests that ccxt keeps to."""
        return Budget(weight=max(1, int(_BUDGET_SECONDS / self._facts.pace)), seconds=_BUDGET_SECONDS)

    @property
    def subscribing(self) -> Subscribing:
        """Say how the frames of trades are told from others."""
        return Subscribing(kind_bytes=ccxt_frames.kind_bytes(self.exchange_id))

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids are good for: they tell trades apart."""
        return "execution" if channel == _CHANNEL else None

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of a symbol; raise `MalformedFrame` where it has no name."""
        return self.listed.get(native) or ccxt_symbols.instrument(self.exchange_id, native)

    def native(self, instrument: Instrument) -> str:
        """Give ccxt's symbol; raise `UserError` for another exchange, or one whose trades ccxt cannot watch."""
        self._facts  # noqa: B018 - it raises
        return ccxt_symbols.symbol_of(self.exchange_id, instrument)

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections: one for 50 markets of one kind, as ccxt watches no different kinds together."""
        kinds: dict[str, dict[str, None]] = {}
        for channel in channels:
            for one in instruments:
                parts = ccxt_symbols.parts(self.native(one))
                kind = f"{parts.kind}-dated" if parts.expiry.isdigit() else parts.kind
                kinds.setdefault(kind, {})[self.stream(one, channel)] = None
            self._known(channel)
        step = self.limits.streams
        parted = [(kind, list(of)[at : at + step]) for kind, of in kinds.items() for at in range(0, len(of), step)]
        return [
            Connection(f"ccxt://{self.exchange_id}/{kind}", self.requests("SUBSCRIBE", streams), tuple(streams))
            for kind, streams in parted
        ]

    def requests(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str]) -> tuple[str, ...]:
        """Give the message for `exchanges.ccxt_socket.CcxtSocket`."""
        return (json.dumps({"watch" if method == "SUBSCRIBE" else "unwatch": list(streams)}),) if streams else ()

    def stream(self, instrument: Instrument, channel: str) -> str:
        """Give our name of one stream, ``trade:`` and the instrument's name; raise as `subscriptions` does."""
        self._known(channel)
        self.native(instrument)
        return f"{channel}:{instrument.name}"

    def time_request(self) -> Request:
        """Ask for the time: the exchange's, else the date of an answer."""
        return Request("time", {}, 1, header=None if self._facts.tells_time else "date")

    def read_time(self, payload: bytes) -> int:
        """Read the time, µs since the epoch, UTC."""
        return ccxt_answers.read_time(payload)

    def instruments_request(self) -> Request:
        """Ask for all markets; as ccxt has it, that are several requests."""
        return Request("markets", {}, _OF_MARKETS)

    def read_instruments(self, payload: bytes) -> list[Instrument]:
        """Read the markets; see `exchanges.ccxt_answers.read_markets`."""
        return ccxt_answers.read_markets(self.exchange_id, payload)

    def trades_request(
        self, instrument: Instrument, channel: str, *, first_id: int | None = None, start: int | None = None
    ) -> Request:
        """Ask for the newest trades; raise `UserError` for pages from an id or a time on."""
        self._known(channel)
        if first_id is not None or start is not None:
            raise UserError("trades that ccxt fetches are read backwards, neither from an id on nor from a time on")
        return Request("trades", {"instrument": instrument.name}, 1)

    def older_trades_request(
        self, instrument: Instrument, channel: str, before: tuple[int, int] | None
    ) -> Request | None:
        """Ask for the newest trades, or for a stretch that ends with a trade; see `exchanges.ccxt_pages`.

        The weight is that of each of the pages that it takes.
        """
        newest = self.trades_request(instrument, channel)
        if before is None:
            return newest
        return Request("older_trades", {**newest.params, "id": before[0], "before": before[1]}, 1)

    def read_trades(
        self, instrument: Instrument, channel: str, payload: bytes, received_at: int
    ) -> TradeBatch | None:
        """Read a page of trades; None for an empty one."""
        return ccxt_answers.read_trades(instrument.name, payload, received_at)

    def klines_request(self, instrument: Instrument, timeframe: str, start: int, end: int) -> Request:
        """Ask for candles from ``start`` on; raise `UserError` where ccxt has none of that timeframe."""
        if timeframe not in self._facts.timeframes:
            raise UserError(f"ccxt has no candles of {timeframe} of {self.exchange_id}")
        asked: dict[str, str | int] = {
            "instrument": instrument.name,
            "timeframe": timeframe,
            "start": start,
            "end": end,
        }
        return Request("candles", asked, 1)

    def read_klines(self, instrument: Instrument, timeframe: str, payload: bytes) -> VenueCandles:
        """Read candles; see `exchanges.ccxt_answers.read_candles`."""
        return ccxt_answers.read_candles(instrument.name, timeframe, payload)

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        """Read a frame of ours; raise `MalformedFrame` where it is none, and nothing else."""
        return ccxt_frames.read(frame, self.exchange_id)

    def trades(self, payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Columns:
        """Leave all frames to `parse`."""
        return Columns.untaken(len(starts))

    def rest(self, budgets: Budgets | None, timeout: float | None) -> Rest:
        """Give the client that answers these requests (`exchanges.clients.BringsClient`)."""
        rest: Rest = _library().rest(self, budgets, timeout)
        return rest

    def dialer(self, rest: Rest) -> Dial:
        """Give what opens connections; ``rest`` is a client of the same exchange."""
        dial: Dial = _library().dialer(self, rest)
        return dial

    @property
    def _facts(self) -> Any:
        return _library().facts(self.exchange_id, *self.addresses)

    def _known(self, channel: str) -> None:
        if channel != _CHANNEL:
            raise UnknownName(f"channel of {self.name}", channel, [_CHANNEL])


def named(name: str, addresses: tuple[str | None, str | None], listed: Mapping[str, Instrument]) -> CcxtVenue:
    """Give the venue of a name that begins with `PREFIX`; raise `UnknownName` where ccxt knows no such exchange."""
    exchange_id, known = name.removeprefix(PREFIX), _known_ids()
    if exchange_id not in known:
        raise UnknownName("venue", name, [PREFIX + one for one in known])
    return CcxtVenue(exchange_id, addresses, listed)


def _known_ids() -> list[str]:
    # By the names of its files: to import it for a look would cost every process what only one needs.
    found = find_spec("ccxt")
    folder = Path(found.origin).parent if found is not None and found.origin else Path()
    return sorted({path.stem for path in folder.glob("[a-z]*.py")})


def _library() -> Any:
    return import_module("exchanges.ccxt_client")

"""The simulated exchange: a market on a tape, a clock, and the rules that its clients have to keep."""

from collections import Counter
from dataclasses import dataclass, field, replace

from core.candles import CandleBatch
from core.errors import UserError
from core.health import Health
from core.timeframes import MINUTE, Timeframe
from simulator.binance.market import Market
from simulator.clock import MarketClock
from simulator.tapes.candles import base_of, first_start, joined
from simulator.tapes.tape import Tape


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Say what one of the two markets bears; times in seconds.

    ``messages`` a second from a websocket client, of any kind; a ping every ``ping_interval``, and an end to who
    does not answer within ``ping_timeout``; ``weight`` of REST requests a minute and address.
    """

    messages: int
    ping_interval: float
    ping_timeout: float
    weight: int


SPOT = Tolerance(messages=5, ping_interval=20, ping_timeout=60, weight=6000)
USDM = Tolerance(messages=10, ping_interval=180, ping_timeout=600, weight=2400)


@dataclass(frozen=True, slots=True)
class Rules:
    """Say what the exchange bears, as Binance documents it; times in seconds.

    ``lifetime`` of a websocket, announced ``notice`` before its end; ``streams`` a websocket; ``attempts`` to
    connect in ``attempts_per`` and address. A client that goes on with ``ban_after`` requests after it was told to
    stop is banned for ``ban``. ``unread`` bytes may wait for a client that does not read; ``pace`` is the time
    between two looks at the tape.
    """

    spot: Tolerance = SPOT
    usdm: Tolerance = USDM
    lifetime: float = 86_400
    notice: float = 60
    streams: int = 1024
    attempts: int = 300
    attempts_per: float = 300
    ban_after: int = 10
    ban: float = 120
    unread: int = 64 * 1024 * 1024
    pace: float = 0.005

    def of(self, futures: bool) -> Tolerance:
        """Give what the market bears."""
        return self.usdm if futures else self.spot


@dataclass(slots=True)
class Figures:
    """Count what was served since the start; ``sent`` counts frames by stream, each once for all its readers."""

    sent: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    refused: int = 0
    connected: int = 0
    open: int = 0
    listeners: Counter[str] = field(default_factory=Counter)
    """Websockets that are subscribed to some stream, by broadcast."""
    cut: int = 0
    """Websockets that were cut because their client did not read."""

    @property
    def listening(self) -> int:
        """Give how many websockets are subscribed to some stream."""
        return self.listeners.total()


class SimulatedExchange:
    """Tell what has happened on a tape by the clock, in venue time: tape time plus the clock's shift.

    Instruments without expiry are spot, the others USD-M futures. Raises `UserError` where two instruments of one
    market have the same symbol, or where the shift is no whole number of minutes: candles would begin at odd times.
    """

    def __init__(self, tape: Tape, clock: MarketClock, rules: Rules | None = None) -> None:
        if clock.shift % MINUTE:
            raise UserError("a market is shifted by whole minutes, so that its candles begin with a minute")
        self.tape, self.clock, self.rules = tape, clock, rules or Rules()
        self.figures = Figures()
        self.jump = (0, clock.now())
        """How often the clock was set, and to which time of the tape: what lies between is not sent."""
        self.skew = 0
        """How far the venue's own clock is ahead (µs): told in answers about the time and as the time of sending."""
        self.listed: dict[tuple[bool, str], Market] = {}
        """The markets, by whether they are futures and by symbol, in the order of the tape."""
        for instrument in tape.instruments:
            market = Market.of(instrument, _first_id(tape, instrument.native))
            if self.listed.setdefault((market.futures, market.symbol), market) is not market:
                raise UserError(f"the tape has the symbol {market.symbol} twice: name each instrument once")

    def now(self) -> int:
        """Give the tape's time (µs)."""
        return self.clock.now()

    def venue_now(self) -> int:
        """Give the time that clients are shown (µs since the epoch, UTC): the market's, and the venue's ``skew``."""
        return self.clock.venue(self.clock.now()) + self.skew

    def markets(self, futures: bool) -> list[Market]:
        """Give the spot markets or the futures, in the order of the tape."""
        return [market for (future, _), market in self.listed.items() if future == futures]

    def market(self, futures: bool, symbol: str) -> Market | None:
        """Give the market of a symbol in upper case, None where there is none."""
        return self.listed.get((futures, symbol))

    def candles(self, market: Market, timeframe: Timeframe, start: int, end: int, now: int) -> CandleBatch:
        """Give the candles that begin in [start, end) as they stand at ``now``, all in venue time (µs).

        The last one may be open.
        """
        shift, native = self.clock.shift, market.instrument.native
        until = min(now, timeframe.end(timeframe.floor(end - 1)))
        if timeframe.micros and shift % timeframe.micros == 0:
            batch = self.tape.klines(native, timeframe.name, start - shift, until - shift)
            return replace(batch, start=batch.start + shift)
        # Its intervals begin elsewhere on the tape than here.
        begin = max(first_start(timeframe, start), timeframe.floor(self.clock.venue(self.tape.start)))
        batch = self.tape.klines(native, base_of(timeframe).name, begin - shift, until - shift)
        return joined(replace(batch, start=batch.start + shift), timeframe)

    def seek(self, tape_time: int) -> None:
        """Set the clock; trades between then and now are not sent on any stream."""
        self.clock.seek(tape_time)
        self.jump = self.jump[0] + 1, tape_time

    def health(self) -> Health:
        """Say how the exchange is."""
        figures = self.figures
        over = self.tape.end is not None and self.now() >= self.tape.end
        degraded = ["the market stands still: the clock is paused"] if self.clock.paused else []
        return Health.judged(
            [*degraded, *(["the market is over: the tape has ended"] if over else [])],
            [],
            {
                "venue_time": self.venue_now(),
                "speed": self.clock.speed,
                "connections": figures.open,
                "frames": sum(figures.sent.values()),
                "requests": figures.requests,
                "refused": figures.refused,
                "cut": figures.cut,
            },
        )


def _first_id(tape: Tape, native: str) -> int:
    first = tape.from_id(native, 0, 1, tape.end or tape.start + 10 * MINUTE)
    return int(first.ids[0]) if len(first) else 1

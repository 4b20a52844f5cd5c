"""What Upbit is asked by REST, and how its answers are read; readers raise `MalformedFrame` and nothing else.

Source: docs.upbit.com, reference of the Quotation API: 10 requests a second and address for each group (market,
trade, candle). Trades are paged backwards from one (``cursor``) within one UTC day, up to seven days ago. Candles
without trades do not exist.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, TypeVar

from core.errors import MalformedFrame, TransientError, UnknownName, UserError
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import DAY, SECOND, timeframe
from core.trades import TradeBatch
from exchanges import bounds, upbit_symbols
from exchanges import upbit_wire as wire
from exchanges.instrument_list import listed
from exchanges.json_payload import read_json
from exchanges.kline_page import Candle, kline_page, page_end
from exchanges.trade_page import Row, trade_page
from exchanges.upbit_frames import price_and_size, start_of, values_of
from exchanges.venue import Budget, Request

BUDGET = Budget(weight=10, seconds=1)
TRADES = 200
"""Trades of a page: 500 are documented today, 200 is what other clients know to be given."""
CANDLES = 200
DAYS = 7
"""How many days ago the oldest trades may be."""
_MIDNIGHT = 15 * SECOND
_PATHS = {
    "1s": "seconds", "1m": "minutes/1", "3m": "minutes/3", "5m": "minutes/5", "15m": "minutes/15",
    "30m": "minutes/30", "1h": "minutes/60", "4h": "minutes/240", "1d": "days", "1w": "weeks", "1M": "months",
}  # fmt: skip
_T = TypeVar("_T")


def time() -> Request:
    """Ask for the time: there is no endpoint, but every answer's header says it, and this one needs no market."""
    return Request("/v1/market/all", {}, 1, header="date")


def markets() -> Request:
    """Ask for the codes of all markets."""
    return Request("/v1/market/all", {}, 1)


def trades(code: str, channel: str, first_id: int | None, start: int | None) -> Request:
    """Ask for the newest trades; raise `UnknownName` for another channel, `UserError` for pages from somewhere on."""
    if channel != "trade":
        raise UnknownName("channel of trades", channel, ["trade"])
    if first_id is not None or start is not None:
        raise UserError("Upbit gives trades backwards only, neither from an id on nor from a time on")
    return Request("/v1/trades/ticks", {"market": code, "count": TRADES}, 1)


def older_trades(code: str, before: tuple[int, int], now: int) -> Request | None:
    """Ask for the trades before one on its UTC day; None where that was more than seven days ago.

    ``before`` is (id, µs since the epoch, UTC); with id 0, all of that day. Raises `TransientError` at midnight,
    while it is not certain which day the venue counts from: another day than meant would be read without a sign.
    """
    days = now // DAY - before[1] // DAY
    if days > DAYS:
        return None
    if (now + _MIDNIGHT) % DAY < 2 * _MIDNIGHT:
        raise TransientError(
            "Upbit pages trades by the day, and the day is just changing: ask again in half a minute"
        )
    params: dict[str, str | int] = {"market": code, "count": TRADES}
    if before[0]:
        params["cursor"] = before[0]
    if days > 0:
        params["days_ago"] = days
    return Request("/v1/trades/ticks", params, 1)


def day_before(ts: int, now: int) -> int | None:
    """Give the last moment of the day before; None where it was more than seven days ago. µs since the epoch, UTC."""
    last = ts // DAY * DAY - 1
    return last if now // DAY - last // DAY <= DAYS else None


def klines(code: str, name: str, start: int, end: int) -> Request:
    """Ask for the candles that begin in [start, end) (µs), up to `klines_until`: Upbit gives the last 200."""
    if name not in _PATHS:
        raise UnknownName("timeframe of Upbit", name, _PATHS)
    length = timeframe(name)
    until = length.floor(klines_until(name, start, end) - 1)
    # A second after the start of the last one: whether ``to`` is in or out makes no difference.
    to = datetime.fromtimestamp((until + SECOND) // SECOND, UTC)
    params: dict[str, str | int] = {"market": code, "to": to.strftime("%Y-%m-%dT%H:%M:%SZ"), "count": CANDLES}
    return Request(f"/v1/candles/{_PATHS[name]}", params, 1)


def klines_until(name: str, start: int, end: int) -> int:
    """Give the end of what one request covers, as `exchanges.history.KlineWindows` says."""
    return page_end(timeframe(name), start, end, CANDLES)


def read_time(payload: bytes) -> int:
    """Read an HTTP date, µs since the epoch, UTC: the second that has begun, so up to a second behind."""
    try:
        moment = parsedate_to_datetime(str(payload, "ascii"))
        seconds = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError, TypeError, IndexError):
        raise MalformedFrame(f"{payload[:60]!r} is no HTTP date") from None
    return bounds.micros(seconds * 1000, "server time")


def read_markets(payload: bytes) -> list[Instrument]:
    """Read the markets; without tick and lot, which depend on the price. Left out are codes that we cannot name."""
    return listed(_read(payload, list[wire.Market]), _instrument, lambda row: row.market, "Upbit")


def read_trades(instrument: Instrument, code: str, payload: bytes, received_at: int) -> TradeBatch | None:
    """Read a page of trades, ascending by time, those of one time in the order in which they came about."""
    rows = list[Row]()
    for row in reversed(_read(payload, list[wire.Tick])):
        _same(row.market, code)
        side: Literal["sell", "buy"] = "sell" if row.ask_bid == "ASK" else "buy"
        rows.append((bounds.identifier(row.sequential_id, "trade id"), row.timestamp, *price_and_size(row), side))
    return trade_page(instrument.name, "execution", sorted(rows, key=lambda row: row[1]), received_at)


def read_candles(instrument: Instrument, code: str, name: str, payload: bytes) -> VenueCandles:
    """Read a page of candles, ascending, closed or not; Upbit tells no counts and no taker volumes: 0."""
    rows, length = _read(payload, list[wire.Bar]), timeframe(name)
    for row in rows:
        _same(row.market, code)
    starts = [(row, start_of(row)) for row in rows]
    return kline_page(instrument.name, length, (Candle(at, *values_of(row, length, at)) for row, at in starts))


def _instrument(row: wire.Market) -> Instrument | None:
    try:
        return upbit_symbols.split(row.market)
    except MalformedFrame:
        return None


def _read(payload: bytes, kind: type[_T]) -> _T:
    return read_json(payload, kind, "an answer of Upbit")


def _same(found: str, code: str) -> None:
    if found != code:
        raise MalformedFrame(f"an answer about {found[:40]!r} instead of {code}")

"""What Deribit is asked by REST: paths, parameters, weights in Deribit's own credits.

Sources: docs.deribit.com (public/get_time, get_instruments, get_last_trades_by_instrument, …_and_time,
get_tradingview_chart_data); support.deribit.com "Rate Limits". A chart holds 5000 candles at most (ccxt).
"""

from core.errors import UnknownName, UserError
from core.timeframes import TIMEFRAMES
from exchanges.deribit_frames import RESOLUTIONS
from exchanges.venue import Request

PAGE = 1000
CANDLES = 5000

_CREDITS = 500
_LIST_CREDITS = 10_000
"""The list of instruments may be asked for once a second: all the credits that a second brings."""
_FUTURE = 4_102_444_799_999
_TRADES = "/public/get_last_trades_by_instrument"


def time() -> Request:
    """Ask for the time."""
    return Request("/public/get_time", {}, _CREDITS)


def instruments() -> Request:
    """Ask for all instruments: one kind at a time could be asked for, and we cover two of them."""
    return Request("/public/get_instruments", {"currency": "any", "expired": "false"}, _LIST_CREDITS)


def trades(symbol: str, channel: str, first_id: int | None, start: int | None) -> Request:
    """Ask for the trades from an id on, from a time on (µs since the epoch, UTC), or for the newest ones.

    Raise `UserError` for both an id and a time, `UnknownName` for a channel that brings no trades.
    """
    if first_id is not None and start is not None:
        raise UserError("ask for trades from an id or from a time, not both")
    if channel != "trade":
        raise UnknownName("channel of trades", channel, ["trade"])
    if first_id is not None:
        return _page(_TRADES, symbol, "asc", start_seq=first_id)
    if start is not None:
        return _page(f"{_TRADES}_and_time", symbol, "asc", start_timestamp=_ceil_ms(start), end_timestamp=_FUTURE)
    return _page(_TRADES, symbol, "desc")


def older_trades(symbol: str, channel: str, before: tuple[int, int] | None) -> Request | None:
    """Ask for the newest trades, or for those before one (id, time); None where that is the first."""
    newest = trades(symbol, channel, None, None)
    if before is None:
        return newest
    return _page(_TRADES, symbol, "desc", end_seq=before[0] - 1) if before[0] > 1 else None


def klines_until(timeframe: str, start: int, end: int) -> int:
    """Give the end of what `candles` asks for between these times; see `exchanges.history.KlineWindows`."""
    if timeframe not in RESOLUTIONS:
        raise UnknownName("timeframe of deribit", timeframe, RESOLUTIONS)
    return min(end, start + CANDLES * TIMEFRAMES[timeframe].micros)


def candles(symbol: str, name: str, start: int, end: int) -> Request:
    """Ask for the candles that begin in [start, end), µs since the epoch, UTC; the first 5000 of them.

    Raise `UnknownName` where Deribit has no such timeframe.
    """
    end = klines_until(name, start, end)
    params: dict[str, str | int] = {
        "instrument_name": symbol,
        "resolution": RESOLUTIONS[name],
        # The documentation's example includes the first candle; ccxt asks from 1 ms before, to have it live.
        "start_timestamp": max(_ceil_ms(start) - 1, 0),
        "end_timestamp": _ceil_ms(end) - 1,
    }
    return Request("/public/get_tradingview_chart_data", params, _CREDITS)


def _page(path: str, symbol: str, sorting: str, **bounds: int) -> Request:
    return Request(path, {"instrument_name": symbol, "count": PAGE, "sorting": sorting, **bounds}, _CREDITS)


def _ceil_ms(micros: int) -> int:
    return -(-micros // 1000)

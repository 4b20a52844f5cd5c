"""Deribit's public methods that answer from the tape, over HTTP and over a websocket alike.

Source: docs.deribit.com, "Market data" and "Supporting"; exchanges.md, section 5.
"""

from collections.abc import Callable, Mapping
from typing import Any

from core.timeframes import TIMEFRAMES
from simulator.binance.history import between
from simulator.deribit import frames
from simulator.deribit.names import RESOLUTIONS
from simulator.dialect import Dialect
from simulator.trade_pages import newest, oldest, reverse
from simulator.venue_market import VenueMarket

_MOST_CANDLES = 5000

Params = Mapping[str, Any]


class RpcError(Exception):
    """Refuse a method: Deribit's code, message, and the JSON text of what it says besides."""

    def __init__(self, code: int, message: str, data: str = "null") -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


def invalid(param: str, reason: str) -> RpcError:
    """Refuse a parameter."""
    return RpcError(-32602, "Invalid params", f'{{"reason":"{reason}","param":"{param}"}}')


def too_many() -> RpcError:
    """Refuse a client that has no credits left; the venue closes its session, too."""
    return RpcError(10028, "too_many_requests")


def get_time(dialect: Dialect, params: Params) -> str:
    """Answer with the venue's time in ms."""
    return str(dialect.exchange.venue_now() // 1000)


def test(dialect: Dialect, params: Params) -> str:
    """Answer with the version of the API."""
    return '{"version":"1.2.26"}'


def get_currencies(dialect: Dialect, params: Params) -> str:
    """Answer with the assets of all instruments."""
    assets = dict.fromkeys(
        asset for market in dialect.markets.values() for asset in (market.instrument.base, market.instrument.quote)
    )
    return frames.listed(
        [
            f'{{"currency":"{asset}","currency_long":"{asset}","coin_type":"{asset}","fee_precision":8,'
            f'"min_confirmations":1,"withdrawal_fee":0.0,"withdrawal_priorities":[],"network_currency":"{asset}"}}'
            for asset in assets
        ]
    )


def get_instruments(dialect: Dialect, params: Params) -> str:
    """Answer with the instruments of ``currency`` (``any`` or none: all) and of ``kind``."""
    currency, kind = params.get("currency", "any"), params.get("kind", "any")
    if kind not in ("any", "spot", "future", "option", "future_combo", "option_combo"):
        raise invalid("kind", "wrong value")
    opened = dialect.exchange.clock.venue(dialect.exchange.tape.start)
    wanted = [
        market.instrument
        for market in dialect.markets.values()
        if currency in ("any", market.instrument.base, market.instrument.quote)
        and kind in ("any", "future" if market.instrument.expiry else "spot")
    ]
    return frames.listed([frames.description(instrument, opened) for instrument in wanted])


def get_last_trades(dialect: Dialect, params: Params) -> str:
    """Answer with trades between two ids and two times, all inclusive.

    The newest ones, newest first, unless ``sorting`` is ``asc``.
    """
    market, count = _market(dialect, params), _number(params, "count", 10)
    sorting = params.get("sorting", "default")
    if not 1 <= count <= 1000:
        raise invalid("count", "must be between 1 and 1000")
    if sorting not in ("asc", "desc", "default"):
        raise invalid("sorting", "wrong value")
    start, end = _time(params, "start_timestamp"), _time(params, "end_timestamp")
    end = None if end is None else end + 1000
    first, last = _optional(params, "start_seq"), _optional(params, "end_seq")
    below = None if last is None else last + 1
    if sorting == "asc":
        found = oldest(dialect.exchange, market.source, count + 1, first=first, start=start, end=end, below=below)
        page = found.take(slice(0, count))
    else:
        found = newest(dialect.exchange, market.source, count + 1, start=start, end=end, below=below)
        found = found if first is None else found.take(found.ids >= first)
        page = reverse(found.take(slice(max(0, len(found) - count), None)))
    rows = frames.listed(frames.trades(market.instrument, page))
    return f'{{"trades":{rows},"has_more":{"true" if len(found) > count else "false"}}}'


def get_last_trades_and_time(dialect: Dialect, params: Params) -> str:
    """Answer as `get_last_trades` does, from ``start_timestamp`` on, which has to be there."""
    _number(params, "start_timestamp")
    return get_last_trades(dialect, params)


def get_chart(dialect: Dialect, params: Params) -> str:
    """Answer with the candles that begin between two times (both inclusive): the newest ones, where they are many."""
    market, resolution = _market(dialect, params), str(params.get("resolution", ""))
    if resolution not in RESOLUTIONS:
        raise invalid("resolution", "wrong value")
    timeframe = TIMEFRAMES[RESOLUTIONS[resolution]]
    start, end = _number(params, "start_timestamp") * 1000, _number(params, "end_timestamp") * 1000 + 1
    now = dialect.exchange.clock.venue(dialect.exchange.now())
    end = min(end, now)
    start = max(start, end - timeframe.micros * _MOST_CANDLES)
    candles = (
        between(dialect.exchange, market.source, timeframe, start, end, now, _MOST_CANDLES) if start < end else []
    )
    return frames.chart(market, [one for one in candles if one.start >= start])


METHODS: dict[str, Callable[[Dialect, Params], str]] = {
    "public/get_time": get_time,
    "public/test": test,
    "public/get_currencies": get_currencies,
    "public/get_instruments": get_instruments,
    "public/get_last_trades_by_instrument": get_last_trades,
    "public/get_last_trades_by_instrument_and_time": get_last_trades_and_time,
    "public/get_tradingview_chart_data": get_chart,
}
"""Each takes the dialect and the parameters, gives JSON text, and raises `RpcError`."""


def _market(dialect: Dialect, params: Params) -> VenueMarket:
    market = dialect.market(str(params.get("instrument_name", "")))
    if market is None:
        raise invalid("instrument_name", "wrong format" if "instrument_name" in params else "required")
    return market


def _number(params: Params, name: str, default: int | None = None) -> int:
    value = params.get(name, default)
    if value is None:
        raise invalid(name, "required")
    text = str(value)
    if not (text.isdecimal() and len(text) <= 18):
        raise invalid(name, "must be a number")
    return int(text)


def _optional(params: Params, name: str) -> int | None:
    return _number(params, name) if name in params else None


def _time(params: Params, name: str) -> int | None:
    value = _optional(params, name)
    return None if value is None else value * 1000

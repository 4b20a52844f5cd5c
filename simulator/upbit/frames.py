"""What Upbit tells of trades, books and candles, as JSON text; times are venue time in µs.

The tape quotes USDT, so its spot markets are Upbit's USDT markets: ``USDT-BTC``. The closing price of the day before
is the price itself (``EVEN``): the tape knows no better. Source: docs.upbit.com, "WebSocket" (trade, orderbook,
candle) and "Quotation API"; exchanges.md, section 7.
"""

from decimal import Decimal
from typing import Literal

import numpy as np

from core.candles import Candle
from core.timeframes import HOUR
from core.trades import TradeBatch
from simulator.binance.book import Book
from simulator.plain_numbers import double, plain
from simulator.scattered_ids import ScatteredIds

IDS = ScatteredIds(10**16, 2**14)
"""Trade ids of 17 digits."""

Stream = Literal["SNAPSHOT", "REALTIME"]

_KOREA = 9 * HOUR


def trades(market: str, batch: TradeBatch, books: list[Book], sent: int, stream: Stream) -> list[str]:
    """Give each trade as the type ``trade`` tells it, with the best bid and ask after it."""
    columns = (batch.ts, batch.price, batch.size, batch.side, IDS.shown(batch.ids))
    rows = zip(*(column.tolist() for column in columns), books, strict=True)
    told = []
    for ts, price, size, side, number, book in rows:
        (bid, bids), (ask, asks) = book.best
        date, time = moment(ts).split("T")
        told.append(
            f'{{"type":"trade","code":"{market}","timestamp":{sent // 1000},"trade_date":"{date}",'
            f'"trade_time":"{time}","trade_timestamp":{ts // 1000},"trade_price":{double(price)},'
            f'"trade_volume":{double(size)},"ask_bid":"{"BID" if side > 0 else "ASK"}",'
            f'"prev_closing_price":{double(price)},"change":"EVEN","change_price":0.0,"sequential_id":{number},'
            f'"best_ask_price":{plain(ask)},"best_ask_size":{plain(asks)},"best_bid_price":{plain(bid)},'
            f'"best_bid_size":{plain(bids)},"stream_type":"{stream}"}}'
        )
    return told


def ticks(market: str, batch: TradeBatch) -> list[str]:
    """Give each trade as ``/v1/trades/ticks`` tells it: the same ids, in the order of the rows."""
    columns = (batch.ts, batch.price, batch.size, batch.side, IDS.shown(batch.ids))
    told = []
    for ts, price, size, side, number in zip(*(column.tolist() for column in columns), strict=True):
        date, time = moment(ts).split("T")
        told.append(
            f'{{"market":"{market}","trade_date_utc":"{date}","trade_time_utc":"{time}","timestamp":{ts // 1000},'
            f'"trade_price":{double(price)},"trade_volume":{double(size)},"prev_closing_price":{double(price)},'
            f'"change_price":0.0,"ask_bid":"{"BID" if side > 0 else "ASK"}","sequential_id":{number}}}'
        )
    return told


def orderbook(market: str, book: Book, levels: int, now: int, stream: Stream) -> str:
    """Give the book as the type ``orderbook`` tells it."""
    bids, asks = book.bids(levels), book.asks(levels)
    units = ",".join(
        f'{{"ask_price":{double(ask)},"bid_price":{double(bid)},"ask_size":{double(size)},"bid_size":{double(other)}}}'
        for (bid, other), (ask, size) in zip(bids, asks, strict=False)
    )
    wanted, offered = _total(bids), _total(asks)
    return (
        f'{{"type":"orderbook","code":"{market}","timestamp":{now // 1000},"total_ask_size":{offered},'
        f'"total_bid_size":{wanted},"orderbook_units":[{units}],"stream_type":"{stream}","level":0}}'
    )


def candle(kind: str, market: str, one: Candle, now: int, stream: Stream) -> str:
    """Give a candle as the type ``candle.1m`` (``kind``) and its siblings tell it."""
    return f'{{"type":"{kind}","code":"{market}",{_candle(one, now)},"stream_type":"{stream}"}}'


def bar(market: str, one: Candle, now: int, unit: int | None) -> str:
    """Give a candle as ``/v1/candles`` tells it; ``unit`` is the minutes of a candle of minutes."""
    more = "" if unit is None else f',"unit":{unit}'
    return f'{{"market":"{market}",{_candle(one, now)}{more}}}'


def moment(ts: int) -> str:
    """Write a time to the second, without a zone: ``2026-08-26T08:08:00``."""
    return str(np.datetime64(ts // 1_000_000, "s"))


def _candle(one: Candle, now: int) -> str:
    return (
        f'"candle_date_time_utc":"{moment(one.start)}","candle_date_time_kst":"{moment(one.start + _KOREA)}",'
        f'"opening_price":{double(one.open)},"high_price":{double(one.high)},"low_price":{double(one.low)},'
        f'"trade_price":{double(one.close)},"timestamp":{now // 1000},'
        f'"candle_acc_trade_price":{double(one.quote_volume)},"candle_acc_trade_volume":{double(one.volume)}'
    )


def _total(levels: list[tuple[str, str]]) -> str:
    return double(sum((Decimal(size) for _, size in levels), Decimal(0)))

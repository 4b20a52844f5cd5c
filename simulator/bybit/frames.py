"""What Bybit tells: trades, candles, best bid and ask, tickers with marks.

Source: bybit-exchange/docs v5, "Websocket", "Public"; prices and sizes are texts, times ms. A trade has a UUID, on
spot digits: it tells trades apart and proves nothing.
"""

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from core.candles import Candle
from core.timeframes import TIMEFRAMES
from core.trades import TradeBatch
from simulator.bybit.topics import INTERVALS
from simulator.scattered_ids import ScatteredIds
from simulator.topic import Mark, Quote, Topic
from simulator.venue_market import VenueMarket

_SIDES = {1: "Buy", -1: "Sell"}
_TICKS = {1: "PlusTick", 0: "ZeroPlusTick", -1: "MinusTick"}
_MOST = 1024
"""Trades that one frame tells."""
_SPOT_IDS = ScatteredIds(2_200_000_000_000_000_000, 2**20)
_NAMESPACE = uuid.UUID("20f43950-d8dd-5b31-9112-a178eb6023af")
_NAMES = {ours: interval for interval, ours in INTERVALS.items()}


def trade_ids(market: VenueMarket, trades: TradeBatch) -> list[str]:
    """Give the ids under which trades are told, always the same of each."""
    if market.section == "spot":
        # Ids of a recording that do not count are scattered as they are.
        ids = trades.ids if trades.id_space == "execution" else _SPOT_IDS.shown(trades.ids)
        return [str(number) for number in ids.tolist()]
    name = market.instrument.name
    return [str(uuid.uuid5(_NAMESPACE, f"{name} {number}")) for number in trades.ids.tolist()]


def trade_columns(market: VenueMarket, trades: TradeBatch) -> Iterator[tuple[Any, ...]]:
    """Give trades as they are written: id, price, size, side, time in ms, sequence."""
    sides = [_SIDES[side] for side in trades.side.tolist()]
    texts = trade_ids(market, trades), market.prices(trades.price), market.sizes(trades.size), sides
    return zip(*texts, (trades.ts // 1000).tolist(), trades.ids.tolist(), strict=True)


def told(topic: Topic, trades: TradeBatch, sent: int) -> list[str]:
    """Tell trades, many in a frame; ``type`` says snapshot, and yet it is none."""
    market = topic.market
    # The first of a batch has no other before it: told as a price that stayed.
    ticks = np.sign(np.diff(trades.price, prepend=trades.price[:1])).astype(int).tolist()
    data = [
        {
            "i": number,
            "T": ts,
            "p": price,
            "v": size,
            "S": side,
            "seq": sequence,
            "s": market.symbol,
            "BT": False,
            **({} if market.section == "spot" else {"L": _TICKS[tick]}),
        }
        for tick, (number, price, size, side, ts, sequence) in zip(ticks, trade_columns(market, trades), strict=True)
    ]
    return [_pushed(topic, data[at : at + _MOST], sent) for at in range(0, len(data), _MOST)]


def kline(topic: Topic, candle: Candle, closed: bool, sent: int) -> str:
    """Tell a candle."""
    market, timeframe = topic.market, TIMEFRAMES[topic.timeframe]
    start, opened, high, low, close, volume, turnover = candle_row(market, candle)
    data = {
        "start": int(start),
        "end": timeframe.end(candle.start) // 1000 - 1,
        "interval": _NAMES[topic.timeframe],
        "open": opened,
        "close": close,
        "high": high,
        "low": low,
        "volume": volume,
        "turnover": turnover,
        "confirm": closed,
        "timestamp": sent // 1000,
    }
    return _pushed(topic, [data], sent)


def candle_row(market: VenueMarket, candle: Candle) -> list[str]:
    """Write a candle: start, prices, volume, turnover."""
    turnover = market.value(candle.quote_volume)
    if market.section == "inverse":
        # Our candles do not hold what inverse contracts were worth in base: reckoned at the close.
        turnover = f"{candle.volume / Decimal(repr(candle.close)):.8f}"
    prices = (candle.open, candle.high, candle.low, candle.close)
    return [str(candle.start // 1000), *map(market.price, prices), market.size(candle.volume), turnover]


def best(topic: Topic, quote: Quote, sent: int) -> str:
    """Tell best bid and ask (orderbook.1)."""
    market = topic.market
    data = {
        "s": market.symbol,
        "b": [[market.price(quote.bid), market.size(quote.bid_size)]],
        "a": [[market.price(quote.ask), market.size(quote.ask_size)]],
        "u": quote.id,
        "seq": quote.id,
    }
    return _pushed(topic, data, sent, {"cts": quote.time // 1000})


def ticker(topic: Topic, mark: Mark, sent: int, snapshot: bool) -> str:
    """Tell a ticker; of a derivative first all of it, then what moves (what is missing is unchanged)."""
    market, price = topic.market, topic.market.price(mark.price)
    last = {"symbol": market.symbol, "lastPrice": price}
    if market.section == "spot":
        return _pushed(topic, last, sent)
    moving = {"markPrice": price, "indexPrice": market.price(mark.index)}
    funding = {"fundingRate": str(mark.funding_rate), "nextFundingTime": str(mark.next_funding // 1000)}
    kind = "snapshot" if snapshot else "delta"
    more = {"type": kind, "cs": mark.time // 1000}
    # The next funding moves once in eight hours, and is told again with each push: nobody misses it.
    return _pushed(
        topic, last | moving | (funding if snapshot else {"nextFundingTime": funding["nextFundingTime"]}), sent, more
    )


def _pushed(topic: Topic, data: Any, sent: int, more: dict[str, Any] | None = None) -> str:
    name = topic.key[1] if isinstance(topic.key, tuple) else ""
    frame = {"topic": name, "type": "snapshot", "ts": sent // 1000, "data": data, **(more or {})}
    return msgspec.json.encode(frame).decode()

"""What OKX tells: trades one by one or merged, candles, best bid and ask, marks.

Source: OKX API v5, "Order Book Trading", "Market Data" and "Public Data" channels; prices and sizes are texts, sizes
of derivatives contracts, times texts of ms.
"""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from core.candles import Candle
from core.trades import TradeBatch
from simulator.okx.channels import kind_of
from simulator.topic import Mark, Quote, Topic
from simulator.venue_market import VenueMarket

_SIDES = {1: "buy", -1: "sell"}


def pushed(topic: Topic, data: list[Any]) -> str:
    """Give the frame of one push."""
    channel, symbol = argument(topic)
    return msgspec.json.encode({"arg": {"channel": channel, "instId": symbol}, "data": data}).decode()


def argument(topic: Topic) -> tuple[str, str]:
    """Give the channel and the symbol that a client named."""
    channel, symbol = topic.key if isinstance(topic.key, tuple) else ("", "")
    return str(channel), str(symbol)


def fills(topic: Topic, trades: TradeBatch) -> list[str]:
    """Tell each trade in a frame of its own (trades-all)."""
    return [pushed(topic, [row | {"source": "0"}]) for row in trade_rows(topic.market, trades)]


def merged(topic: Topic, trades: TradeBatch) -> list[str]:
    """Tell trades of one order at one price in one frame, under the last one's id (trades)."""
    rows = trade_rows(topic.market, trades)
    sizes = [Decimal(row["sz"]) for row in rows]
    frames = []
    for first, after in runs(trades):
        row = rows[after - 1]
        row["sz"] = topic.market.size(sum(sizes[first:after], Decimal(0)))
        more = {"count": str(after - first), "source": "0", "seqId": int(row["tradeId"])}
        frames.append(pushed(topic, [row | more]))
    return frames


def runs(trades: TradeBatch) -> list[tuple[int, int]]:
    """Give first and after of the rows that one order made at one price: neighbours whose ids chain."""
    same = (np.diff(trades.ts) == 0) & (np.diff(trades.price) == 0) & (np.diff(trades.side) == 0)
    same &= np.diff(trades.ids) == 1
    edges = [0, *(np.flatnonzero(~same) + 1).tolist(), len(trades)]
    return list(pairwise(edges))


def trade_rows(market: VenueMarket, trades: TradeBatch) -> list[dict[str, Any]]:
    """Write trades, as REST and both channels have them in common."""
    symbol = market.symbol
    columns = (
        trades.ids.tolist(),
        market.prices(trades.price),
        market.sizes(trades.size),
        trades.side.tolist(),
        (trades.ts // 1000).tolist(),
    )
    return [
        {"instId": symbol, "tradeId": str(number), "px": px, "sz": sz, "side": _SIDES[side], "ts": str(ts)}
        for number, px, sz, side, ts in zip(*columns, strict=True)
    ]


def candle_row(market: VenueMarket, candle: Candle, closed: bool) -> list[str]:
    """Write a candle: start, prices, volume, volume in base (quote on spot), volume in quote, confirm."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    return [
        str(candle.start // 1000),
        *map(market.price, prices),
        market.size(candle.volume),
        *_volumes(market, candle),
        "1" if closed else "0",
    ]


def best(topic: Topic, quote: Quote) -> str:
    """Tell best bid and ask (bbo-tbt), or with the last price (tickers)."""
    market, time = topic.market, str(quote.time // 1000)
    bid, bids = market.price(quote.bid), market.size(quote.bid_size)
    ask, asks = market.price(quote.ask), market.size(quote.ask_size)
    if argument(topic)[0] == "bbo-tbt":
        sides = {"asks": [[ask, asks, "0", "1"]], "bids": [[bid, bids, "0", "1"]]}
        return pushed(topic, [sides | {"ts": time, "seqId": quote.id}])
    last = market.price((quote.bid + quote.ask) / 2)
    head = {"instType": kind_of(market), "instId": market.symbol, "last": last}
    return pushed(topic, [head | {"askPx": ask, "askSz": asks, "bidPx": bid, "bidSz": bids, "ts": time}])


def mark(topic: Topic, told: Mark) -> str:
    """Tell mark price, index or funding rate, each on its own channel."""
    market, time, channel = topic.market, str(told.time // 1000), argument(topic)[0]
    if channel == "index-tickers":
        return pushed(topic, [{"instId": argument(topic)[1], "idxPx": market.price(told.index), "ts": time}])
    head = {"instType": kind_of(market), "instId": market.symbol}
    if channel == "mark-price":
        return pushed(topic, [head | {"markPx": market.price(told.price), "ts": time}])
    hours = 8 * 3_600_000
    following = told.next_funding // 1000
    funding = {
        "method": "current_period",
        "fundingRate": str(told.funding_rate),
        "fundingTime": str(following),
        "nextFundingRate": "",
        "nextFundingTime": str(following + hours),
        "settState": "settled",
        "settFundingRate": str(told.funding_rate),
        "ts": time,
    }
    return pushed(topic, [head | funding])


def _volumes(market: VenueMarket, candle: Candle) -> tuple[str, str]:
    one = market.instrument
    if not one.expiry:
        return (market.value(candle.quote_volume),) * 2
    amount = candle.volume * one.multiplier
    if one.quote == "USD":
        # Our candles do not hold what inverse contracts were worth in base: reckoned at the close.
        return f"{amount / Decimal(repr(candle.close)):.8f}", market.size(amount)
    return market.size(amount), market.value(candle.quote_volume * one.multiplier)

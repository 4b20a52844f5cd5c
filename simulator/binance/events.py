"""What comes with each trade: the frames of trade, aggTrade and bookTicker.

Sources: binance-spot-api-docs web-socket-streams.md, USD-M streams, captured frames. The shape of a spot trade is
that of `simulator.wire.payload`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.trades import TradeBatch
from simulator.binance.book import Book
from simulator.binance.framing import framed, wrapped
from simulator.binance.market import exact
from simulator.binance.streams import Stream

_MAKER = {1: "false", -1: "true"}

_MOST_QUOTES = 50
"""Of a burst the last quotes are told: nobody can see the others."""


@dataclass(frozen=True, slots=True)
class Form:
    """Say how a client wants its frames: wrapped in the stream's name or bare, times in ms or µs."""

    combined: bool
    micro: bool

    def time(self, micros: int) -> int:
        """Write a time."""
        return micros if self.micro else micros // 1000

    def frame(self, stream: str, body: str) -> str:
        """Give the frame of one event."""
        before, after = wrapped(stream) if self.combined else ("", "")
        return framed(before + body + after)


@dataclass(frozen=True, slots=True)
class Sent:
    """Hold frames and the times of the trades they tell: int64[n] µs, ascending."""

    ts: NDArray[np.int64]
    frames: list[str]


def told(stream: Stream, form: Form, trades: TradeBatch, sent: int, before: float | None) -> Sent:
    """Render the trades of one instrument on one of its streams; ``trades.ts`` and ``sent`` are venue time (µs).

    ``before`` is the price before them, None where there was none.
    """
    if stream.kind == "bookTicker":
        return _quotes(stream, form, trades, sent, before)
    if stream.kind == "aggTrade":
        return Sent(trades.ts, _aggregates(stream, form, trades, sent))
    # Of aggregates nobody knows the trades.
    return Sent(trades.ts, _trades(stream, form, trades, sent) if trades.id_space == "trade" else [])


def _trades(stream: Stream, form: Form, trades: TradeBatch, sent: int) -> list[str]:
    market, time = stream.market, form.time(sent)
    before, after = wrapped(stream.name) if form.combined else ("", "")
    order: list[list[Any]]
    if market.futures:
        shape = (
            f'{before}{{"e":"trade","E":{time},"T":%d,"s":"{market.symbol}","t":%d,"p":"%s","q":"%s",'
            f'"X":"MARKET","m":%s}}{after}'
        )
        order = [_times(form, trades), trades.ids.tolist(), *_deal(stream, trades), _makers(trades)]
    else:
        shape = (
            f'{before}{{"e":"trade","E":{time},"s":"{market.symbol}","t":%d,"p":"%s","q":"%s",'
            f'"T":%d,"m":%s,"M":true}}{after}'
        )
        order = [trades.ids.tolist(), *_deal(stream, trades), _times(form, trades), _makers(trades)]
    return [framed(shape % row) for row in zip(*order, strict=True)]


def _aggregates(stream: Stream, form: Form, trades: TradeBatch, sent: int) -> list[str]:
    market, time = stream.market, form.time(sent)
    before, after = wrapped(stream.name) if form.combined else ("", "")
    ids, first, last = market.aggregates(trades)
    if market.futures:
        head, tail = f'"a":%d,"s":"{market.symbol}"', ""
    else:
        head, tail = f'"s":"{market.symbol}","a":%d', ',"M":true'
    shape = f'{before}{{"e":"aggTrade","E":{time},{head},"p":"%s","q":"%s","f":%d,"l":%d,"T":%d,"m":%s{tail}}}{after}'
    rows = zip(ids, *_deal(stream, trades), first, last, _times(form, trades), _makers(trades), strict=True)
    return [framed(shape % row) for row in rows]


def _quotes(stream: Stream, form: Form, trades: TradeBatch, sent: int, before: float | None) -> Sent:
    moved = np.flatnonzero(np.diff(trades.price, prepend=np.nan if before is None else before) != 0)
    some = trades.take(moved[-_MOST_QUOTES:])
    market, frames = stream.market, []
    for number, price, ts in zip(some.ids.tolist(), some.price.tolist(), some.ts.tolist(), strict=True):
        (bid, bids), (ask, asks) = Book(market, number, ts, exact(price)).best
        levels = f'"s":"{market.symbol}","b":"{bid}","B":"{bids}","a":"{ask}","A":"{asks}"'
        if market.futures:
            times = f'"T":{form.time(ts)},"E":{form.time(sent)}'
            body = f'{{"e":"bookTicker","u":{number},{levels},{times}}}'
        else:
            body = f'{{"u":{number},{levels}}}'
        frames.append(form.frame(stream.name, body))
    return Sent(some.ts, frames)


def _deal(stream: Stream, trades: TradeBatch) -> tuple[list[str], list[str]]:
    return stream.market.prices(trades.price), stream.market.sizes(trades.size)


def _times(form: Form, trades: TradeBatch) -> list[int]:
    times: list[int] = (trades.ts if form.micro else trades.ts // 1000).tolist()
    return times


def _makers(trades: TradeBatch) -> list[str]:
    return [_MAKER[side] for side in trades.side.tolist()]

"""Pages of trades as venues give them on request: the newest, or the oldest from somewhere on; in venue time."""

from dataclasses import replace

import numpy as np

from core.trades import TradeBatch
from simulator.binance.market import Market
from simulator.exchange import SimulatedExchange

_SWEEP = 100_000
"""More trades than one order can cause at one time."""


def newest(
    exchange: SimulatedExchange,
    market: Market,
    limit: int,
    *,
    start: int | None = None,
    end: int | None = None,
    below: int | None = None,
) -> TradeBatch:
    """Give the newest ``limit`` trades so far in [start, end), venue time in µs, with ids before ``below``.

    Ids are the tape's. The rows ascend by (event time, id).
    """
    tape, clock, symbol = exchange.tape, exchange.clock, market.symbol
    until = exchange.now() if end is None else max(tape.start, min(exchange.now(), clock.tape(end)))
    after = None if below is None else tape.from_id(symbol, below, 1, until)
    if after is None or not len(after):
        found = tape.last(symbol, until, limit)
    else:
        at = int(after.ts[0])
        # An order sweeps several makers at one time: some of them may stand before the id, some behind it.
        beside = tape.from_time(symbol, at, at + 1, _SWEEP)
        found = TradeBatch.concat([tape.last(symbol, at, limit), beside.take(beside.ids < (below or 0))])
        found = found.take(slice(max(0, len(found) - limit), None))
    found = replace(found, ts=found.ts + clock.shift)
    return found if start is None else found.take(found.ts >= start)


def oldest(
    exchange: SimulatedExchange,
    market: Market,
    limit: int,
    *,
    first: int | None = None,
    start: int | None = None,
    end: int | None = None,
    below: int | None = None,
) -> TradeBatch:
    """Give the oldest ``limit`` trades so far in [start, end), venue time in µs, with ids in [first, below).

    Ids are the tape's. The rows ascend by (event time, id).
    """
    tape, clock, symbol = exchange.tape, exchange.clock, market.symbol
    until = exchange.now() if end is None else max(tape.start, min(exchange.now(), clock.tape(end)))
    since = tape.start if start is None else min(until, max(tape.start, clock.tape(start)))
    if first is not None:
        earlier = tape.from_time(symbol, since, until, 1)
        reached = int(earlier.ids[0]) if len(earlier) else 2**62
        found = tape.from_id(symbol, max(first, reached), limit, until)
    else:
        found = tape.from_time(symbol, since, until, limit)
    found = replace(found, ts=found.ts + clock.shift)
    return found if below is None else found.take(found.ids < below)


def reverse(batch: TradeBatch) -> TradeBatch:
    """Give the rows newest first."""
    return batch.take(np.arange(len(batch) - 1, -1, -1))

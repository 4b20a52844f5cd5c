"""A tape in memory against the plainest reading of what a tape is."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.candles import Candle
from core.errors import UnknownName, UserError
from core.instruments import Instrument
from core.roll_up import RollUp, roll_up
from core.timeframes import MINUTE, SECOND, timeframe
from core.trades import TradeBatch
from simulator.tapes.candles import folded, joined
from simulator.tapes.columns import ColumnsTape
from simulator.tapes.tape import Tape

EPOCH = 1_736_121_600_000_000
STEPS: dict[str, Any] = {"tick": Decimal("0.01"), "lot": Decimal("0.001")}
BTC = Instrument("binance", "BTC", "USDT", native="BTCUSDT", **STEPS)
ETH = Instrument("binance", "ETH", "USDT", native="ETHUSDT", **STEPS)

Row = tuple[int, int, float, float, int]


@st.composite
def rows(draw: Any) -> list[Row]:
    """Trades in any order of arrival: ids rise with time, mostly; some come twice."""
    gaps = draw(
        st.lists(st.sampled_from([0, 0, 1, 400_000, SECOND, 50 * SECOND, 3 * MINUTE]), min_size=1, max_size=40)
    )
    jumps = draw(st.lists(st.sampled_from([1, 1, 1, 5]), min_size=len(gaps), max_size=len(gaps)))
    ids = np.cumsum(jumps).tolist()
    if draw(st.booleans()):
        ids = draw(st.permutations(ids))
    made = [
        (
            one,
            EPOCH + at,
            draw(st.integers(1, 900)) / 100,
            draw(st.integers(1, 900)) / 1000,
            draw(st.sampled_from([-1, 1])),
        )
        for one, at in zip(ids, np.cumsum(gaps).tolist(), strict=True)
    ]
    return draw(st.permutations(made + made[: draw(st.integers(0, 3))]))


def key(batch: TradeBatch) -> list[Row]:
    return list(zip(*(c.tolist() for c in (batch.ids, batch.ts, batch.price, batch.size, batch.side)), strict=True))


near = st.tuples(st.integers(0, 39), st.sampled_from([-MINUTE, -SECOND, -1, 0, 1, 700_000, 20 * SECOND, 2 * MINUTE]))


def moment(made: list[Row], near: tuple[int, int]) -> int:
    """Give a time near that of one of the trades."""
    return made[near[0] % len(made)][1] + near[1]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows(), near, near, st.integers(-3, 50), st.integers(0, 12))
def test_every_look_up_is_a_cut_of_the_sorted_trades(
    trades_of: Any,
    made: list[Row],
    begin_near: tuple[int, int],
    stop_near: tuple[int, int],
    first_id: int,
    limit: int,
) -> None:
    start, stop = moment(made, begin_near), moment(made, stop_near)
    tape: Tape = ColumnsTape([BTC, ETH], [trades_of(made)])
    whole = sorted(set(made), key=lambda row: (row[1], row[0]))
    assert (tape.start, tape.end) == (whole[0][1], whole[-1][1] + 1)
    inside = [row for row in whole if start <= row[1] < stop]
    assert [(b.instrument, key(b)) for b in tape.between(start, stop)] == [(BTC.name, inside)] * bool(inside)
    assert key(tape.from_time("BTCUSDT", start, stop, limit)) == inside[:limit]
    before = [row for row in whole if row[1] < stop]
    assert key(tape.last("BTCUSDT", stop, limit)) == before[max(0, len(before) - limit) :]
    assert (
        key(tape.from_id("BTCUSDT", first_id, limit, stop)) == sorted(r for r in before if r[0] >= first_id)[:limit]
    )
    assert len(tape.last("ETHUSDT", stop, limit)) == len(tape.klines("ETHUSDT", "1m", start, stop)) == 0


def plain(trades: list[Row], name: str, start: int, stop: int) -> list[tuple[Any, ...]]:
    """Candles as one would make them by hand, flat where there are no trades."""
    frame = timeframe(name)
    trades = sorted((row for row in set(trades) if row[1] < stop), key=lambda row: (row[1], row[0]))
    if not trades:
        return []
    at, candles, close = frame.floor(trades[0][1]), [], 0.0
    while at < stop:
        inside = [row for row in trades if at <= row[1] < frame.end(at)]
        prices = [row[2] for row in inside] or [close]
        exact = [(Decimal(repr(price)), Decimal(repr(size)), side) for _, _, price, size, side in inside]
        volume, quote = sum(size for _, size, _ in exact), sum(price * size for price, size, _ in exact)
        bought = sum(size for _, size, side in exact if side > 0)
        close = prices[-1]
        candles.append((at, prices[0], max(prices), min(prices), close, volume, quote, len(inside), bought))
        at = frame.end(at)
    return [one for one in candles if one[0] >= start]


def figures(candles: list[Candle]) -> list[tuple[Any, ...]]:
    return [
        (c.start, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trade_count, c.taker_buy_volume)
        for c in candles
    ]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows(), near, near, st.sampled_from(["1s", "1m", "3m", "15m", "1h", "1d", "1w", "1M"]))
def test_candles_are_those_of_the_trades_before_the_end(
    trades_of: Any, made: list[Row], begin_near: tuple[int, int], stop_near: tuple[int, int], name: str
) -> None:
    start, stop = moment(made, begin_near), moment(made, stop_near)
    tape = ColumnsTape([BTC], [trades_of(made)])
    stop_of_tape = min(stop, tape.end or 0)
    for begin in (start, 0):
        found = figures(tape.klines("BTCUSDT", name, begin, stop).candles())
        assert found == (plain(made, name, begin, stop_of_tape) if begin < stop else [])
    again = figures(tape.klines("BTCUSDT", name, start, stop).candles())
    assert again == figures(tape.klines("BTCUSDT", name, start, stop).candles()), "asking changes nothing"


def test_an_open_candle_without_trades_yet_is_flat(trades_of: Any) -> None:
    made = [(n, EPOCH + at * SECOND, float(n), 1.0, 1) for n, at in ((1, 0), (2, 10), (3, 120))]
    tape = ColumnsTape([BTC], [trades_of(made)])
    for name, first in (("1m", 0), ("1m", MINUTE), ("1s", 11 * SECOND)):
        *_, last = tape.klines("BTCUSDT", name, EPOCH + first, EPOCH + MINUTE + SECOND // 2).candles()
        assert (last.start, last.open, last.close, last.trade_count) == (EPOCH + MINUTE, 2.0, 2.0, 0)


@pytest.mark.parametrize("name", ["5m", "1h", "1d"])
def test_joined_candles_are_those_of_the_roll_up(three_hours: dict[str, TradeBatch], name: str) -> None:
    btc = three_hours["simulated:BTC-USDT"]
    last = int(btc.ts[-1]) // MINUTE * MINUTE
    minutes = folded(btc.instrument, timeframe("1m"), btc, EPOCH, last, None)
    state, closed = RollUp(timeframe(name)), []
    for minute in minutes.candles():
        state, done = roll_up(state, minute)
        closed += done
    found = joined(minutes, timeframe(name)).candles()
    assert figures(found[: len(closed)]) == figures(closed)
    assert len(found) == len(closed) + (state.forming is not None)


def test_what_is_no_tape_is_refused(trades_of: Any) -> None:
    one = trades_of([(1, EPOCH, 1.0, 1.0, 1)])
    aggregate = replace(one, id_space="aggregate")
    for instruments, batches in (
        ([BTC], []),
        ([BTC], [one.take(slice(0, 0))]),
        ([ETH], [one]),
        ([BTC], [one, aggregate]),
        ([Instrument.parse(BTC.name)], [one]),
    ):
        with pytest.raises(UserError):
            ColumnsTape(instruments, batches)


def test_more_than_fits_is_refused(trades_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.tapes.columns.MOST", 2)
    batch = trades_of([(n, EPOCH + n, 1.0, 1.0, 1) for n in range(3)])
    with pytest.raises(UserError, match="3 trades do not fit"):
        ColumnsTape([BTC], [batch])
    assert ColumnsTape([BTC], [batch.take(slice(0, 2))]).end == EPOCH + 2


def test_unknown_names_are_refused_with_the_nearest(trades_of: Any) -> None:
    tape = ColumnsTape([BTC, ETH], [trades_of([(1, EPOCH, 1.0, 1.0, 1)])])
    for ask in (lambda name: tape.last(name, 0, 1), lambda name: tape.klines(name, "1m", 0, 1)):
        with pytest.raises(UnknownName, match="BTCUSDT"):
            ask("BTCUSD")
    with pytest.raises(UnknownName, match="5m"):
        tape.klines("BTCUSDT", "5min", 0, 1)

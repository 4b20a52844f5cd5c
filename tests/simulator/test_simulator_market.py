from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.instruments import Instrument
from core.timeframes import DAY, HOUR, MINUTE, SECOND
from core.trades import TradeBatch
from simulator.listing import LISTINGS, Listing
from simulator.market import BLOCK, START, InventedMarket
from simulator.volatility import season

Market = dict[str, TradeBatch]

each = pytest.mark.parametrize("name", [one.instrument.name for one in LISTINGS])
BY_NAME = {one.instrument.name: one for one in LISTINGS}


def same(one: Market, other: Market) -> bool:
    return one.keys() == other.keys() and all(
        a.tobytes() == b.tobytes() and a.dtype == b.dtype
        for name in one
        for a, b in zip(one[name].columns(), other[name].columns(), strict=True)
    )


def closes(batch: TradeBatch, step: int) -> Any:
    edges = np.arange(START + step, START + 3 * HOUR + 1, step)
    return batch.price[np.maximum(np.searchsorted(batch.ts, edges) - 1, 0)]


def test_a_seed_fixes_every_bit(gather: Any) -> None:
    once = gather(InventedMarket(7), 25 * MINUTE)
    assert same(once, gather(InventedMarket(7), 25 * MINUTE))
    market = InventedMarket(7)
    gather(market, MINUTE)
    assert same(once, gather(market, 25 * MINUTE)), "a market has no memory between calls"
    assert not same(once, gather(InventedMarket(8), 25 * MINUTE))


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 25 * MINUTE),
    st.one_of(st.integers(5 * SECOND, 3 * MINUTE), st.integers(BLOCK - 1, BLOCK + 1), st.just(HOUR)),
)
def test_chunks_do_not_change_the_market(gather: Any, duration: int, chunk: int) -> None:
    assert same(gather(InventedMarket(3), duration, chunk=chunk), gather(InventedMarket(3), duration, chunk=2 * DAY))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 25 * MINUTE), st.integers(1, 15 * MINUTE))
def test_a_span_is_a_cut_of_the_whole(gather: Any, skipped: int, duration: int) -> None:
    start = START + skipped
    whole = gather(InventedMarket(4), skipped + duration)
    cut = {name: batch.take(batch.ts >= start) for name, batch in whole.items()}
    span = gather(InventedMarket(4), duration, start=start)
    assert same(span, {name: batch for name, batch in cut.items() if len(batch)})
    assert all(((start <= b.ts) & (b.ts < start + duration)).all() for b in span.values())


def test_the_end_of_a_span_belongs_to_the_next(gather: Any) -> None:
    whole = gather(InventedMarket(4), MINUTE)["simulated:BTC-USDT"]
    edge = int(whole.ts[len(whole) // 2])
    head = gather(InventedMarket(4), edge - START)["simulated:BTC-USDT"]
    tail = gather(InventedMarket(4), START + MINUTE - edge, start=edge)["simulated:BTC-USDT"]
    assert head.ts[-1] < edge == tail.ts[0]
    assert same({"x": TradeBatch.concat([head, tail])}, {"x": whole})


def test_chunks_come_in_order_one_batch_an_instrument() -> None:
    rank = {one.instrument.name: i for i, one in enumerate(LISTINGS)}
    seen = [
        (int(batch.ts[0] - START) // MINUTE, int(batch.ts[-1] - START) // MINUTE, rank[batch.instrument])
        for batch in InventedMarket(1).trades(15 * MINUTE, chunk=MINUTE)
    ]
    assert all(first == last for first, last, _ in seen)
    assert seen == sorted(set(seen))
    assert len(seen) > 30


def test_another_instrument_changes_nothing_but_receipt(gather: Any) -> None:
    alone = gather(InventedMarket(5, LISTINGS[:1]), 25 * MINUTE)["simulated:BTC-USDT"]
    among = gather(InventedMarket(5), 25 * MINUTE)["simulated:BTC-USDT"]
    assert same({"x": replace(alone, received=among.received)}, {"x": among})


def test_the_default_market_has_a_sensible_size(three_hours: Market) -> None:
    assert 200_000 < sum(map(len, three_hours.values())) < 400_000


@each
def test_ids_are_contiguous_and_times_in_order(name: str, three_hours: Market) -> None:
    batch = three_hours[name]
    assert batch.ids[0] == BY_NAME[name].first_id
    assert (np.diff(batch.ids) == 1).all()
    assert (np.diff(batch.ts) >= 0).all()
    assert (batch.ts % 1000 == 0).all()
    assert batch.ts[0] >= START
    assert batch.ts[-1] < START + 3 * HOUR
    assert set(np.unique(batch.side)) == {-1, 1}
    assert (batch.fills == 1).all()
    assert batch.id_space == "trade"
    assert [column.dtype.name for column in batch.columns()] == [
        *("int64", "int64", "int64", "float64", "float64", "int8", "int32", "int64")
    ]


@each
def test_prices_and_sizes_are_whole_steps_in_few_digits(name: str, three_hours: Market) -> None:
    instrument = BY_NAME[name].instrument
    for column, step in ((three_hours[name].price, instrument.tick), (three_hours[name].size, instrument.lot)):
        assert step is not None
        values = [Decimal(repr(value)) for value in np.unique(column).tolist()]
        assert min(values) >= step
        assert all(value % step == 0 for value in values)
        assert max(len(value.as_tuple().digits) for value in values) <= 15


@pytest.mark.parametrize("step", ["5", "0.5", "0.0025", "1", "0.00000001"])
def test_odd_steps_are_respected(step: str, gather: Any) -> None:
    odd = Instrument("binance", "ODD", "USDT", native="ODDUSDT", tick=Decimal(step), lot=Decimal(step))
    price = max(float(step), 1.0) * 40
    batch = gather(InventedMarket(1, [Listing(odd, price, 30.0, 0.5, 0.5, 4000.0, 0)]), 5 * MINUTE)[odd.name]
    for column in (batch.price, batch.size):
        assert all(Decimal(repr(value)) % Decimal(step) == 0 for value in column.tolist())
        assert column.min() > 0
    assert batch.ids[0] == 0


def test_receipt_never_falls_along_the_one_connection(three_hours: Market) -> None:
    batches = list(three_hours.values())
    line = np.argsort(np.concatenate([batch.ts for batch in batches]), kind="stable")
    received = np.concatenate([batch.received for batch in batches])[line]
    assert (np.diff(received) >= 0).all()
    assert all((batch.received > batch.ts).all() for batch in batches)
    delay = np.concatenate([batch.received - batch.ts for batch in batches])
    assert np.median(delay) < 10_000
    assert delay.max() < SECOND


def test_receipt_does_not_fall_at_the_edge_of_a_block(gather: Any) -> None:
    busy = InventedMarket(2, [replace(one, rate=1_000.0) for one in LISTINGS[:2]])
    batches = gather(busy, 2 * SECOND, start=START + BLOCK - SECOND).values()
    before = max(batch.received[batch.ts < START + BLOCK].max() for batch in batches)
    after = [batch.received[batch.ts >= START + BLOCK] for batch in batches]
    assert all((received >= before).all() for received in after)
    # So late that without waiting in line it could not be: the edge was under load.
    assert min(batch.ts[batch.ts >= START + BLOCK].min() for batch in batches) + 2_500 < before


def test_moves_are_correlated(three_hours: Market) -> None:
    returns = [np.diff(np.log(closes(batch, MINUTE))) for batch in three_hours.values()]
    table = np.corrcoef(returns)
    assert table[np.triu_indices(3, 1)].min() > 0.3
    assert table[np.triu_indices(3, 1)].max() < 0.95


@each
def test_volatility_clusters_and_tails_are_fat_while_returns_forget(name: str, three_hours: Market) -> None:
    returns = np.diff(np.log(closes(three_hours[name], SECOND)))
    size = np.abs(returns)
    for lag in (1, 10, 60):
        assert np.corrcoef(size[:-lag], size[lag:])[0, 1] > 0.05
        assert abs(np.corrcoef(returns[:-lag], returns[lag:])[0, 1]) < 0.1
    assert np.mean((returns - returns.mean()) ** 4) / returns.var() ** 2 > 4


@each
def test_arrivals_are_bunched_more_than_by_chance(name: str, three_hours: Market) -> None:
    # Orders, not trades: several makers met at once would count as bunching. Within five minutes, so that
    # the slow change of activity does not either. Poisson has variance = mean.
    orders = np.unique(three_hours[name].ts) - START
    counts = np.bincount(orders // SECOND, minlength=3 * 3600).reshape(-1, 300)
    assert np.mean(counts.var(axis=1) / counts.mean(axis=1)) > 1.5


@each
def test_sides_persist_and_sizes_are_skewed_and_often_round(name: str, three_hours: Market) -> None:
    batch = three_hours[name]
    first = np.flatnonzero(np.diff(batch.ts, prepend=-1))
    side = batch.side[first].astype(int)
    assert np.corrcoef(side[:-1], side[1:])[0, 1] > 0.1
    assert abs(side.mean()) < 0.1
    notional = batch.size * batch.price
    assert notional.mean() > 2 * np.median(notional)
    assert np.quantile(notional, 0.99) > 20 * np.median(notional)
    alone = batch.size[np.flatnonzero(np.diff(batch.ts, prepend=-1) * np.diff(batch.ts, append=2**62))]
    digits = [len(Decimal(repr(value)).normalize().as_tuple().digits) for value in alone.tolist()]
    assert digits.count(1) / len(digits) > 0.2


def test_the_day_has_hours_and_the_week_has_an_end() -> None:
    hours = season(START + np.arange(24) * HOUR)
    assert hours.argmax() in (14, 15)
    assert hours.min() > 0.3
    assert abs(hours.mean() - 1) < 0.01
    saturday, sunday, monday = (season(np.array([START + d * DAY]))[0] for d in (5, 6, 7))
    assert saturday == sunday == 0.7 * monday


def test_a_market_may_be_nearly_asleep(gather: Any) -> None:
    quiet = [replace(one, rate=0.002) for one in LISTINGS]
    sleepy = gather(InventedMarket(2, quiet), 6 * HOUR)
    assert 0 < sum(map(len, sleepy.values())) < 1_000
    assert same(sleepy, gather(InventedMarket(2, quiet), 6 * HOUR, chunk=7 * MINUTE))


def test_memory_is_bounded_by_a_block(gather: Any) -> None:
    market = InventedMarket(1)
    longest = max(len(batch) for batch in market.trades(2 * HOUR, chunk=10 * SECOND))
    assert longest < 5_000


@pytest.mark.parametrize(
    "broken",
    [
        {"price": 0.0},
        {"price": float("nan")},
        {"price": float("inf")},
        {"rate": -1.0},
        {"volatility": -0.1},
        {"beta": 1.1},
        {"notional": 0.0},
        {"first_id": -1},
        {"instrument": Instrument.parse("simulated:BTC-USDT")},
    ],
)
def test_a_listing_that_makes_no_market_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="BTC-USDT"):
        replace(LISTINGS[0], **broken)


def test_a_market_or_a_span_that_is_none_is_refused() -> None:
    for arguments in ((-1,), (1, ()), (1, LISTINGS[:1] * 2), (1, LISTINGS, -1)):
        with pytest.raises(UserError):
            InventedMarket(*arguments)  # type: ignore[arg-type]
    market = InventedMarket(1)
    for span in ((0,), (-1,), (MINUTE, START - 1), (MINUTE, START, 0)):
        with pytest.raises(UserError):
            next(market.trades(*span))

"""The invented market as a tape: the same trades as the market, from anywhere, after anything."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Busy, IntegrityError, UserError
from core.timeframes import DAY, HOUR, MINUTE, SECOND, timeframe
from core.trades import TradeBatch
from simulator.listing import LISTINGS, MORE
from simulator.market import BLOCK, START, InventedMarket
from simulator.tapes.candles import folded
from simulator.tapes.invented import CLOSED_AFTER, FARTHEST, InventedTape
from simulator.tapes.tape import Tape

TWO = LISTINGS[:2]
NOW = START + HOUR
BTC, ETH = (one.instrument for one in TWO)


@contextmanager
def opened(folder: Path | None = None, **how: Any) -> Iterator[InventedTape]:
    how = {"seed": 7, "listings": TWO, "now": NOW, "history_hours": 1} | how
    tape = InventedTape.open(how.pop("seed"), how.pop("listings"), folder, **how)
    try:
        yield tape
    finally:
        tape.close()


def same(one: TradeBatch, other: TradeBatch) -> bool:
    return one.instrument == other.instrument and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one.columns(), other.columns(), strict=True)
    )


def cut(batch: TradeBatch, start: int, end: int) -> TradeBatch:
    return batch.take((batch.ts >= start) & (batch.ts < end))


@pytest.fixture(scope="module")
def truth(gather: Any) -> dict[str, TradeBatch]:
    """The market of the tapes below, drawn in one go."""
    return gather(InventedMarket(7, TWO, START), 2 * HOUR)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tape]:
    with opened(tmp_path_factory.mktemp("market")) as tape:
        yield tape


moments = st.integers(-MINUTE, 2 * HOUR).map(lambda at: START + at)


@settings(max_examples=60)
@given(moments, st.integers(0, 20 * MINUTE), st.integers(0, 3000), st.integers(-5, 60_000))
def test_every_look_up_is_a_cut_of_the_market(
    shared: Tape, truth: dict[str, TradeBatch], start: int, length: int, limit: int, ahead: int
) -> None:
    end = min(start + length, START + 2 * HOUR)
    expected = [part for whole in truth.values() if len(part := cut(whole, start, end))]
    found = shared.between(start, end)
    assert len(found) == len(expected)
    assert all(map(same, found, expected))
    whole = truth[ETH.name]
    assert same(shared.from_time("ETHUSDT", start, end, limit), cut(whole, start, end).take(slice(0, limit)))
    before = cut(whole, 0, end)
    assert same(shared.last("ETHUSDT", end, limit), before.take(slice(max(0, len(before) - limit), None)))
    first_id = int(whole.ids[0]) + ahead
    assert same(
        shared.from_id("ETHUSDT", first_id, limit, end), before.take(before.ids >= first_id).take(slice(limit))
    )


@settings(max_examples=40)
@given(moments, st.integers(1, 90 * MINUTE), st.sampled_from(["1s", "1m", "5m", "1h", "1d"]))
def test_candles_are_those_of_the_trades(
    shared: Tape, truth: dict[str, TradeBatch], start: int, length: int, name: str
) -> None:
    end, frame = min(start + length, START + 2 * HOUR), timeframe(name)
    found = shared.klines("BTCUSDT", name, start, end)
    trades = truth[BTC.name]
    first = -(-max(start, START) // frame.micros) * frame.micros
    assert found.start.tolist() == (list(range(first, end, frame.micros)) if end > trades.ts[0] else [])
    for candle in [*found.take(slice(0, 1)).candles(), *found.take(slice(-1, None)).candles()]:
        inside, after = cut(trades, candle.start, end), frame.end(candle.start)
        alone = folded(BTC.name, frame, inside, candle.start, after, candle.open)
        assert candle == alone.candles()[0]


def test_small_slices_are_the_whole(shared: Tape, truth: dict[str, TradeBatch]) -> None:
    parts = [b for at in range(START, START + MINUTE, 20_000) for b in shared.between(at, at + 20_000)]
    for name, whole in truth.items():
        joined = TradeBatch.concat([b for b in parts if b.instrument == name])
        assert same(joined, cut(whole, START, START + MINUTE))


def test_a_restart_goes_on_with_the_same_market(tmp_path: Path, truth: dict[str, TradeBatch]) -> None:
    for now in (NOW, NOW + 25 * MINUTE, NOW + 10 * MINUTE, START + 2 * HOUR):
        with opened(tmp_path, now=now) as tape:
            assert tape.start == START
            for name, batch in zip(truth, tape.between(START, now), strict=True):
                assert same(batch, cut(truth[name], START, now))


def test_without_a_folder_nothing_is_remembered_and_the_market_is_the_same(truth: dict[str, TradeBatch]) -> None:
    with opened() as tape:
        assert all(map(same, tape.between(START, NOW), (cut(one, START, NOW) for one in truth.values())))


def test_history_begins_at_the_edge_of_a_block_and_all_listings_trade() -> None:
    now = NOW + 3 * MINUTE + 1
    with opened(now=now, history_hours=2, listings=LISTINGS + MORE) as tape:
        assert tape.start % BLOCK == 0
        assert 0 <= now - 2 * HOUR - tape.start < BLOCK
        assert tape.end is None
        assert {batch.instrument for batch in tape.between(tape.start, now)} == {
            one.instrument.name for one in LISTINGS + MORE
        }


@pytest.mark.parametrize("damage", ["cut", "flip", "none left", "garbage behind"])
def test_a_damaged_log_is_drawn_again(tmp_path: Path, truth: dict[str, TradeBatch], damage: str) -> None:
    with opened(tmp_path):
        pass
    log = tmp_path / "blocks"
    data = bytearray(log.read_bytes())
    if damage == "cut":
        data = data[:-5]
    elif damage == "flip":
        data[len(data) // 2] ^= 1
    elif damage == "none left":
        data.clear()
    else:
        data += b"\x05\x00\x00\x00what is this"
    log.write_bytes(data)
    with opened(tmp_path, now=START + 90 * MINUTE) as tape:
        expected = [cut(one, START, START + 90 * MINUTE) for one in truth.values()]
        assert all(map(same, tape.between(START, START + 90 * MINUTE), expected))


def test_a_long_pause_closes_the_market_and_ids_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as tape:
        drawn = tape.between(START, NOW + BLOCK)
        last = tape.last("BTCUSDT", NOW + BLOCK // 2, 1)
    later = NOW + CLOSED_AFTER + DAY
    log = tmp_path / "blocks"
    for left in (log.stat().st_size // 2, None, 0):
        # Also when the log was damaged: what was drawn comes again before the market is found to have been closed.
        log.write_bytes(log.read_bytes()[:left])
        with opened(tmp_path, now=later) as tape:
            assert tape.start == START
            newest = tape.last("BTCUSDT", later, 200_000)
            assert (np.diff(newest.ids) == 1).all(), "nobody can tell by the ids that it was closed"
            resumed = int(newest.ts[np.flatnonzero(np.diff(newest.ts) > DAY)[0] + 1])
            assert 0 <= resumed - (later - HOUR) // BLOCK * BLOCK < MINUTE
            jump = newest.price[np.diff(newest.ts, append=0) > DAY], newest.price[newest.ts == resumed]
            assert abs(np.log(jump[0][0] / jump[1][0])) < 0.01
            kept = newest.take(newest.ids == last.ids[0])
            assert same(kept, last)
            assert all(map(same, tape.between(START, NOW + BLOCK), drawn))
            assert tape.between(NOW + HOUR, resumed) == []
            candles = tape.klines("BTCUSDT", "1h", NOW, later)
            assert candles.start[-1] - candles.start[0] > CLOSED_AFTER
            assert len(candles) <= 4
    state = json.loads((tmp_path / "market.json").read_text())
    assert len(state["closed"]) == 1


def test_a_short_pause_is_drawn(tmp_path: Path) -> None:
    with opened(tmp_path, listings=[replace(TWO[0], rate=0.05)]):
        pass
    later = NOW + CLOSED_AFTER - HOUR
    with opened(tmp_path, listings=[replace(TWO[0], rate=0.05)], now=later) as tape:
        candles = tape.klines("BTCUSDT", "1h", START, later)
        assert (np.diff(candles.start) == HOUR).all()
        assert candles.start[-1] > later - 2 * HOUR


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ({"seed": 8}, "seed 7"),
        ({"listings": LISTINGS}, "other instruments"),
        ({"rate": 2.0}, "another rate"),
        ({"now": START - 1}, "begins later than now"),
    ],
)
def test_another_market_is_refused_and_nothing_changes(tmp_path: Path, how: dict[str, Any], named: str) -> None:
    with opened(tmp_path):
        pass
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=named), opened(tmp_path, **how):
        pass
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_cannot_play_one_market(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(Busy, match="another simulator"), opened(tmp_path):
        pass
    with opened(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{}", '{"seed": 7', "\x00\xff"])
def test_a_damaged_state_is_no_market(tmp_path: Path, text: str) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / "market.json").write_text(text)
    with pytest.raises(IntegrityError, match="damaged"), opened(tmp_path):
        pass


def test_nobody_draws_a_month_by_a_slip(shared: Tape) -> None:
    with pytest.raises(UserError, match="31 days"):
        shared.between(START, NOW + 2 * HOUR + FARTHEST)


def test_a_busy_market_is_drawn_in_short_blocks() -> None:
    with opened(rate=40.0, history_hours=0.1) as tape:
        (btc, eth) = tape.between(NOW, NOW + 10 * SECOND)
        assert len(btc) + len(eth) > 5_000
        candles = tape.klines("BTCUSDT", "1m", NOW - 5 * MINUTE, NOW)
        assert len(candles) == 5
        assert candles.trade_count.min() > 5_000


def test_a_market_is_drawn_in_whole_seconds() -> None:
    for length in (0, -SECOND, SECOND // 2):
        with pytest.raises(UserError, match="whole seconds"):
            InventedMarket(1, LISTINGS, START, length)

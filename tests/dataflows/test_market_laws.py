"""What the dataflow promises, whatever the batch size, the order of arrival, or the strategy."""

import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from core.errors import IntegrityError
from core.records import Kind, Mark, Record, Tick
from core.settings import Settings, StrategySettings
from core.timeframes import MINUTE
from core.trades import TradeBatch
from dataflows.system import System, opened
from simulator.disturbance import Disturbance
from simulator.frames import invent
from storage import recordings
from strategies.registry import STRATEGIES
from strategies.strategy import Strategy

sys.path.insert(0, str(Path(__file__).parent))
from rows import everything
from worker import settings_of, work_off

T0 = 1_736_121_600_000_000
NAME = "binance:BTC-USDT"


def trades(rows, space="trade"):
    """Build a record of trades from (id, seconds after T0, price)."""
    ids, at, price = (np.array(column) for column in zip(*rows, strict=True))
    ts = T0 + (at * 1_000_000).astype(np.int64)
    n = len(rows)
    batch = TradeBatch(
        NAME,
        space,
        ids.astype(np.int64),
        ts,
        ts,
        price.astype(float),
        np.ones(n),
        np.ones(n, np.int8),
        np.ones(n, np.int32),
        np.zeros(n, np.int64),
    )
    return Record(Kind.TRADES, int(ts[-1]), batch.to_ipc())


def feed(system: System, records, finish=True):
    system.ledger.register_feed("test", "simulated")
    system.journal.append("test", [*records, *([Mark("ended").record(0)] if finish else [])])


def run(data, *groups, settings=None, limit=8_192):
    """Work off groups of records one after another, revising after each; give all rows."""
    settings = settings or settings_of(data)
    for group in groups:
        with opened(settings, "test") as system:
            feed(system, group, finish=group is groups[-1])
            work_off(system, limit, 0.2)
            system.revise()
    return everything(settings)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    disturbance = Disturbance(seed=2, hole=0.001, duplicate=0.02, reorder=0.02, late=0.002, garbage=0.002)
    path = tmp_path_factory.mktemp("recorded") / "invented.ws"
    invent(path, seed=3, duration=20 * MINUTE, disturbance=disturbance)
    return list(recordings.frames([path]))


@pytest.fixture(scope="module")
def in_one_stroke(recorded, tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole") / "data", recorded)


@pytest.mark.parametrize("limit", [37, 1_000])
def test_the_batch_size_changes_no_row(recorded, in_one_stroke, tmp_path, limit):
    found = run(tmp_path / "data", recorded, limit=limit)
    assert in_one_stroke["signals"]
    for name, rows in in_one_stroke.items():
        assert found[name] == rows, name


def test_stopping_and_going_on_changes_no_row(recorded, in_one_stroke, tmp_path):
    records = iter(recorded)
    groups = list(iter(lambda: list(islice(records, 9_000)), []))
    assert len(groups) > 2
    found = run(tmp_path / "data", *groups)
    for name in ("trades", "first", "latest", "signals", "gaps", "coverage", "unread", "twice"):
        assert found[name] == in_one_stroke[name], name


def test_a_late_trade_yields_a_revision_and_leaves_revision_zero_and_signals_alone(tmp_path):
    walk = [(i, i * 20.0, round(100 + 5 * np.sin(i / 7), 2)) for i in range(1, 400)]
    late = [(i, s, p) for i, s, p in walk if i == 200]
    rest = [row for row in walk if row[0] != 200]
    before = run(tmp_path / "a", [trades(rest)])
    after = run(tmp_path / "b", [trades(rest)], [trades([(200, late[0][1], 500.0)])])
    assert before["signals"]
    assert after["signals"] == before["signals"]
    assert after["first"] == before["first"]
    changed = {row for row in after["latest"] if row not in set(before["latest"])}
    assert {row[4] for row in changed if row[1] == "1m" and row[4] == 500.0} == {500.0}
    assert [gap[-1] for gap in after["gaps"]] == ["repaired"]
    assert not after["dirty"]


def test_a_revised_close_moves_the_flat_candles_behind_it(tmp_path):
    rows = [(1, 0, 10.0), (2, 30, 11.0), (4, 300, 12.0), (5, 400, 12.0)]
    found = run(tmp_path / "data", [trades(rows)], [trades([(3, 45, 77.0)])])
    minutes = [row for row in found["latest"] if row[1] == "1m"]
    assert [row[6] for row in minutes[:5]] == [77.0] * 5
    assert [row[9] for row in minutes[:5]] == [3, 0, 0, 0, 0]


def test_two_late_trades_over_the_same_quiet_write_each_revision_once(tmp_path):
    rows = [(1, 0, 10.0), (10, 605, 12.0), (11, 700, 12.0)]
    late = [trades([(4, 45, 77.0)]), trades([(7, 310, 78.0)])]
    found = run(tmp_path / "data", [trades(rows)], late)
    assert found["twice"] == [(0,)]
    minutes = [row[6] for row in found["latest"] if row[1] == "1m"]
    assert minutes[:10] == [77.0] * 5 + [78.0] * 5


def test_a_revised_close_moves_the_flat_seconds_of_the_next_traded_minute(tmp_path):
    rows = [(1, -70, 9.0), (2, 0, 10.0), (3, 30, 11.0), (7, 70, 12.0), (8, 200, 12.0)]
    found = run(tmp_path / "data", [trades(rows)], [trades([(5, 50, 77.0)])])
    seconds = {row[2].timestamp() - T0 / 1e6: row[6] for row in found["latest"] if row[1] == "1s"}
    assert [seconds[s] for s in (49, 50, 59, 60, 69, 70)] == [11.0, 77.0, 77.0, 77.0, 77.0, 12.0]


def test_other_parameters_are_another_run_and_what_is_placed_no_more_is_stopped(tmp_path):
    walk = [(i, i * 20.0, round(100 + 5 * np.sin(i / 7), 2)) for i in range(1, 800)]
    settings = replace_strategies(settings_of(tmp_path / "data"), "rsi")
    run(tmp_path / "data", [trades(walk[:400])], settings=settings)
    other = settings.model_copy(update={"strategies": (StrategySettings(name="rsi", params={"length": 3}),)})
    found = run(tmp_path / "data", [trades(walk[400:])], settings=other)
    lengths = {}
    for _, text in found["signals"]:
        lengths.setdefault(text.split("run='")[1].split("'")[0], set()).add(text.split("RSI(")[1].split(")")[0])
    assert sorted(lengths.values(), key=str) == [{"3"}, {"5"}]
    with opened(other, "look") as system:
        assert sorted(state for state, _ in system.ledger.runs().values()) == ["running", "stopped"]


def test_a_timeframe_that_is_placed_later_gets_its_candles(tmp_path):
    walk = [(i, i * 20.0, round(100 + 5 * np.sin(i / 9), 2)) for i in range(1, 1_500)]
    settings = replace_strategies(settings_of(tmp_path / "data"))
    run(tmp_path / "data", [trades(walk[:299])], settings=settings)
    three = StrategySettings(name="rsi", timeframe="3m", params={"length": 3})
    changed = settings.candles.model_copy(update={"lateness_ms": 2_000})
    found = run(
        tmp_path / "data",
        [trades(walk[299:])],
        settings=settings.model_copy(update={"strategies": (three,), "candles": changed}),
    )
    assert found["signals"]


def test_a_lost_recovery_store_is_built_again_though_older_trades_came_later(tmp_path):
    walk = [(i, i * 20.0, round(100 + 5 * np.sin(i / 7), 2)) for i in range(1, 900)]
    data = tmp_path / "data"
    expected = run(data, [trades(walk[449:])], [trades(walk[:449])])
    (data / "recovery" / "market").rename(tmp_path / "away")
    with opened(settings_of(data), "test") as system:
        work_off(system, 100, 1)
        system.revise()
    assert everything(settings_of(data)) == expected


def test_a_lost_journal_is_refused_before_anything_is_skipped(tmp_path):
    data = tmp_path / "data"
    run(data, [trades([(i, i * 20.0, 100.0) for i in range(1, 50)])])
    for name in ("journal", "recovery"):
        (data / name).rename(tmp_path / name)
    with opened(settings_of(data), "test") as system:
        feed(system, [], finish=False)
        with pytest.raises(IntegrityError, match="journal was lost"):
            work_off(system, 100, 1)


def test_what_is_set_aside_does_not_depend_on_the_batch_size(tmp_path):
    records = [trades([(i, i * 1.0, 10.0)], space="aggregate" if i % 2 else "trade") for i in range(2, 40)]
    few, many = run(tmp_path / "a", records, limit=6), run(tmp_path / "b", records, limit=100)
    assert len(few["unread"]) == 19
    assert few == many


def test_a_tick_to_no_time_at_all_is_set_aside(tmp_path):
    first = trades([(1, 0, 10.0), (2, 100, 10.0)])
    ticks = [Tick(2**63 + 5).record(0), Tick(T0 * 40).record(0), Tick(T0 + 10**12).record(T0)]
    found = run(tmp_path / "data", [first, *ticks, trades([(3, 200, 11.0)])])
    assert len(found["unread"]) == 3
    assert len(found["first"]) == len(found["latest"]) < 400


def test_time_closes_candles_which_the_next_trade_proves(tmp_path):
    tick = Tick(T0 + 10 * 60 * 1_000_000).record(0)
    first = [trades([(1, -90, 9.0), (2, 5, 10.0)]), tick]
    found = run(tmp_path / "data", first, [trades([(3, 600, 11.0), (4, 700, 11.0)])])
    stored = {row[2].minute: row for row in found["first"] if row[1] == "1m"}
    latest = {row[2].minute: row for row in found["latest"] if row[1] == "1m"}
    assert [stored[m][11] for m in (0, 1, 8)] == [False] * 3
    assert [latest[m][11] for m in (0, 1, 8)] == [True] * 3
    assert latest[5][3:7] == (10.0, 10.0, 10.0, 10.0)


def test_two_streams_of_one_instrument_are_never_mixed(tmp_path):
    found = run(tmp_path / "data", [trades([(1, 0, 10.0), (2, 1, 10.0)]), trades([(7, 2, 99.0)], space="aggregate")])
    assert {row[1] for row in found["trades"]} == {"trade"}
    assert "has an aggregate id" in found["unread"][0][0]


def test_a_trade_from_the_future_does_not_make_all_others_late(tmp_path):
    frame = '{{"e":"trade","E":{0},"s":"BTCUSDT","t":{1},"p":"10.00","q":"1.0","T":{0},"m":true,"M":true}}'
    times = [T0 // 1_000 + i * 30_000 for i in range(20)]
    records = [Record(Kind.FRAME, t * 1_000, frame.format(t, i + 1).encode()) for i, t in enumerate(times)]
    records.insert(5, Record(Kind.FRAME, times[5] * 1_000, frame.format(times[5] + 10**11, 6).encode()))
    found = run(tmp_path / "data", records)
    assert len(found["trades"]) == 20
    assert not found["gaps"]
    assert len(found["first"]) == len(found["latest"])
    assert ["after it was received" in text for (text,) in found["unread"]] == [True]


def test_a_strategy_that_raises_is_stopped_and_the_others_go_on(tmp_path, monkeypatch):
    class Poisoned(Strategy[int]):
        name = "poisoned"
        warmup = 0

        def remember(self):
            return 0

        def decide(self, memory, candle):
            if memory == 3:
                raise ZeroDivisionError("poison")
            return memory + 1, ()

    monkeypatch.setitem(STRATEGIES, "poisoned", Poisoned)
    settings = replace_strategies(settings_of(tmp_path / "data"), "poisoned", "rsi")
    walk = [trades([(i, i * 20.0, round(100 + 5 * np.sin(i / 7), 2)) for i in range(1, 400)])]
    found = run(tmp_path / "data", walk, settings=settings)
    assert any("run='rsi-" in text for _, text in found["signals"])
    with opened(settings, "look") as system:
        (row,) = system.session.execute(
            "SELECT count(*) FROM lake.candles WHERE timeframe = '1m' AND revision = 0"
        ).fetchall()
        assert row[0] > 100
        states = {run.partition("-")[0]: state for run, state in system.ledger.runs().items()}
        assert states == {"poisoned": ("failed", "ZeroDivisionError: poison"), "rsi": ("running", None)}


def replace_strategies(settings: Settings, *names: str) -> Settings:
    placed = tuple(StrategySettings(name=name, params={"length": 5} if name == "rsi" else {}) for name in names)
    return settings.model_copy(update={"strategies": placed})


def test_a_run_starts_warm_from_the_lake(tmp_path):
    walk = [(i, i * 20.0, round(100 + 5 * np.sin(i / 7), 2)) for i in range(1, 1_000)]
    whole = replace_strategies(settings_of(tmp_path / "a"), "rsi")
    expected = run(tmp_path / "a", [trades(walk)], settings=whole)
    # The first part is recorded with no strategy at all; the second part decides from its first candle.
    cold = replace_strategies(settings_of(tmp_path / "b"))
    run(tmp_path / "b", [trades(walk[:599])], settings=cold)
    warm = replace_strategies(settings_of(tmp_path / "b"), "rsi")
    found = run(tmp_path / "b", [trades(walk[599:])], settings=warm)
    cut = T0 + int(walk[599][1] * 1_000_000) + 2 * MINUTE
    late, got = decided_after(cut, expected), decided_after(cut, found)
    # A run begins flat: it lacks what closes positions of the time before it, and nothing else.
    assert set(got) <= set(late)
    assert len(got) >= len(late) - 2 > 5


def decided_after(cut, rows):
    """Give what was decided after a time, without the ids of the runs."""
    texts = [text for _, text in rows["signals"]]
    return [t[t.index("timeframe") :] for t in texts if int(t.split("start=")[1].split(",")[0]) > cut]


def test_a_recovery_store_that_is_not_ours_is_refused_and_a_missing_one_is_built_again(tmp_path):
    data = tmp_path / "data"
    records = [trades([(i, i * 20.0, 100.0 + i % 7) for i in range(1, 200)])]
    expected = run(data, records)
    store = data / "recovery" / "market"
    (store / "part-0.sqlite3").rename(tmp_path / "kept")
    with opened(settings_of(data), "test") as system, pytest.raises(IntegrityError, match="move it away"):
        work_off(system, 100, 1)
    store.rename(tmp_path / "away")
    with opened(settings_of(data), "test") as system:
        work_off(system, 100, 1)
    assert everything(settings_of(data)) == expected


def test_a_gap_in_time_longer_than_a_day_is_not_filled_with_candles(tmp_path):
    found = run(tmp_path / "data", [trades([(1, 0, 10.0), (2, 3 * 24 * 3600 + 30, 11.0)])])
    assert len([row for row in found["first"] if row[1] == "1m"]) == 2

"""The soak: its market is one, its slopes are right, and a short one loses nothing."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import soak
from benchmarks.processes import Usage
from benchmarks.slope import slope
from benchmarks.soak_market import START, RepeatedMarket
from benchmarks.soak_report import GROWTH, report
from benchmarks.soak_samples import PROCESSES, Plan, Sample, read, written
from core.timeframes import MINUTE
from core.trades import TradeBatch
from simulator.tapes.reels import Reels

MARKET = RepeatedMarket(7, 70)
EDGES = [START, START + 1, START + 20_000, START + MINUTE - 1, START + MINUTE, START + 3 * MINUTE + 123_456]


def rows(batches: list[TradeBatch]) -> dict[str, list[tuple]]:
    found: dict[str, list[tuple]] = {}
    for batch in batches:
        found.setdefault(batch.instrument, []).extend(zip(*(c.tolist() for c in batch.columns()), strict=True))
    return found


@pytest.mark.parametrize("start", EDGES[:-1])
def test_what_is_sent_is_what_can_be_looked_up(start):
    for end in EDGES:
        if end > start:
            assert rows(MARKET.between(start, end)) == rows(Reels.between(MARKET, start, end))


def test_cutting_time_changes_nothing_and_ids_go_on():
    cut = [batch for low in range(0, 150, 7) for batch in MARKET.between(*_span(low, low + 7))]
    whole = rows(MARKET.between(*_span(0, 154)))
    assert rows(cut) == whole
    assert len(whole) == 7
    for trades in whole.values():
        ids = [row[0] for row in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids)))


def _span(low: int, high: int) -> tuple[int, int]:
    return START + low * 1_000_000, START + high * 1_000_000


def test_candles_of_the_past_can_be_asked_for():
    candles = MARKET.klines(MARKET.instruments[0].native, "1m", START, START + 10 * MINUTE)
    assert candles.trade_count.tolist() == [600] * 10
    assert len(set(candles.close.tolist())) > 5


def test_a_slope_is_found_and_noise_is_none():
    rng, at = np.random.default_rng(1), np.arange(200) / 720
    noise = rng.normal(0, 3, 200)
    rising = slope(at, 300 + 50 * at + noise)
    assert abs(rising.value - 50) < 3 * rising.error
    assert rising.rises(GROWTH * rising.level)
    assert not slope(at, 300 + noise).rises(GROWTH * 300)
    assert slope(at, np.full(200, 300.0)).error == 0


def test_what_comes_in_steps_is_less_sure_than_what_scatters():
    rng, at = np.random.default_rng(2), np.arange(200) / 720
    steps = np.repeat(rng.normal(0, 3, 10), 20)
    scattered = rng.permutation(steps)
    assert slope(at, 300 + steps).error > 3 * slope(at, 300 + scattered).error


def test_samples_are_read_as_they_were_written(tmp_path):
    usage = {name: Usage(100.0 + n, 50.0, n) for n, name in enumerate(PROCESSES[:-1])}
    samples = [Sample(at, 1, 0.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1.5, 2.5, usage) for at in (0.0, 5.0)]
    written(tmp_path / "samples.csv", samples)
    columns = read(tmp_path / "samples.csv")
    assert columns["at"] == [0.0, 5.0]
    assert columns["market rss"] == [103.0, 103.0]
    assert all(map(math.isnan, columns[f"{PROCESSES[-1]} rss"]))


def test_the_plot_is_small_and_has_no_date(tmp_path):
    plot = pytest.importorskip("benchmarks.soak_plot", reason="matplotlib is not installed")
    at = np.arange(720) * 5.0
    rng = np.random.default_rng(3)
    names = ["lag_seconds", "waiting", *(f"{name} {what}" for name in PROCESSES for what in ("rss", "cpu"))]
    columns = {name: rng.random(720).cumsum() for name in names} | {"at": at, "cut": (at > 1_200) * 200.0}
    for path in (tmp_path / "one.svg", tmp_path / "two.svg"):
        plot.draw(columns, path)
    text = (tmp_path / "one.svg").read_text()
    assert len(text) < 60_000
    assert text == (tmp_path / "two.svg").read_text()
    assert "reviser" in text


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_soak_a_minute_loses_nothing(tmp_path):
    done = soak.soak(Plan(60, 100, 1_000, 50), tmp_path)
    assert [row.work for row in report(done) if row.met is False] == []
    stored = done.stored
    assert (stored.missing, stored.twice, stored.differing, stored.gaps) == (0, 0, 0, 0)
    assert done.cut >= 50

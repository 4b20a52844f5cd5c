"""The benchmarks run, count what they measure, and keep their page."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import candles, journal, market
from benchmarks.table import BEGIN, END, Row, kept

ROW = Row("work", "1", "≥ 1", "2", True)


def test_the_page_keeps_its_text_and_gets_the_new_table():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = kept(page, "2 cores", [ROW])
    assert "| work | 1 | ≥ 1 | 2 | yes |" in once
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert kept(once, "2 cores", [ROW]) == once


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        kept("nothing", "2 cores", [ROW])


def test_the_dataflow_is_measured_over_every_trade(tmp_path):
    runs, decoded = market.measure(tmp_path, 20_000, 1)
    assert [run.trades for run in runs] == [20_000]
    assert runs[0].candles > 0
    assert decoded > 0


def test_the_fold_is_measured_where_it_is_exact(tmp_path):
    trades, took = candles.measure(tmp_path, 50_000, 1)
    assert trades >= 50_000
    assert set(took) == {"fold", "group", "exact"}


def test_a_fold_that_differs_is_named(tmp_path):
    candles.store(tmp_path, 5_000)
    files = candles.stored(tmp_path)
    wrong = candles.fold(files)
    wrong.volume[0, 0] += 1
    assert candles.differing(wrong, candles.group(files, exact=True)) == ["volume"]


def test_the_journal_is_measured(tmp_path):
    found = journal.measure(tmp_path, 30)
    assert all(ours > 0 for ours, _ in found.values())

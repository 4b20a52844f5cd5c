"""The recorder and ccxt's own classes against the simulated exchange: losses are named, and mended if they can."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import Recorded, recording, settings_of
from test_recorder_simulator import NAMES, Served

from core.continuity_in_time import SPACE
from core.records import Kind, Quarantined, RecordBlock
from core.settings import FeedSettings
from core.trades import TradeBatch
from dataflows.decode import Arrivals, Decoder
from dataflows.recorder import rereads
from dataflows.recorder.known_trades import KnownTrades
from exchanges.registry import venue

FEED = "f"


@pytest.fixture
def served(tmp_path):
    served = Served(tmp_path / "simulator")
    yield served
    served.stop()


def settings_for(folder, served, name, exchange):
    instruments = tuple(one.replace("simulated:", f"{exchange}:") for one in NAMES[:2])
    feed = FeedSettings(name=FEED, venue=name, instruments=instruments, history_minutes=2, **served.urls)
    return settings_of(folder, served.urls).model_copy(update={"feeds": (feed,)}), instruments


def rows_of(records, name):
    """Give each instrument's trades as the dataflow reads them, each id once, ascending by time."""
    decoder, found = Decoder({FEED: name}), {}
    _, arrived = decoder(None, RecordBlock.of(FEED, 0, records))
    for one in arrived:
        assert not isinstance(one, Quarantined)
        if isinstance(one, Arrivals) and one.trades is not None:
            assert one.trades.id_space == SPACE
            found.setdefault(one.instrument, []).append(one.trades)
    return {instrument: once(TradeBatch.concat(batches)) for instrument, batches in found.items()}


def once(trades):
    _, first = np.unique(trades.ids, return_index=True)
    rows = trades.take(np.sort(first))
    return rows.take(np.lexsort((rows.ids, rows.ts)))


def proven_of(records, name):
    """Give each instrument's stretches that nothing is missing from, and its holes."""
    known = KnownTrades(venue(name))
    known.take(RecordBlock.of(FEED, 0, records))
    return {key[0]: (state.proven, state.holes) for key, state in known._states.items()}


def holes_of(records, name):
    return [hole for _, holes in proven_of(records, name).values() for hole in holes]


def volume_by_ms(trades, first, last):
    inside = trades.take((trades.ts > first) & (trades.ts < last))
    times, which = np.unique(inside.ts // 1000, return_inverse=True)
    return dict(zip(times.tolist(), np.round(np.bincount(which, inside.size), 8).tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "exchange", "mends"),
    [
        ("ccxt-binance", "binance", True),
        # Its REST goes back sixty trades of a spot market, no further.
        ("ccxt-bybit", "bybit", False),
        # Its REST tells fills one by one that its stream tells together.
        ("ccxt-okx", "okx", False),
    ],
)
def test_what_is_proven_is_the_truth_and_what_a_loss_hid_is_fetched_or_named(
    tmp_path, served, monkeypatch, name, exchange, mends
):
    monkeypatch.setattr(rereads, "SETTLED_SECONDS", 2.5)
    settings, instruments = settings_for(tmp_path / "data", served, name, exchange)
    with recording(settings) as component, Recorded(settings) as recorded:
        figures = f"{FEED} connections"
        recorded.wait_for(lambda r: component.health().figures.get(figures) and r.of(Kind.FRAME), 60)
        time.sleep(1.0)
        served.ask("disconnect")
        recorded.wait_for(lambda r: [one.mark for one in r.marks()].count("connected") == 2, 60)

        frames = len(recorded.of(Kind.FRAME))
        recorded.wait_for(lambda r: len(r.of(Kind.FRAME)) > frames + 3, 60)
        if mends:
            recorded.wait_for(lambda r: not holes_of(r.more().records, name), 60)
        else:
            time.sleep(4)
        marks, records = recorded.marks(), list(recorded.records)
    found, proven = rows_of(records, name), proven_of(records, name)
    assert [one.mark for one in marks[:3]] == ["connected", "lost", "connected"]
    assert set(marks[1].instruments) == set(found) == set(instruments)
    assert marks[1].cause.partition(":")[0] in ("closed_by_venue", "lost_connection")
    assert not mends or not holes_of(records, name)
    for instrument, got in found.items():
        stretches, _ = proven[instrument]
        for one in stretches:
            native = instrument.partition(":")[2].replace("-", "")
            want = served.tape.from_time(native, one.first_ts, one.last_ts, 200_000)
            assert volume_by_ms(got, one.first_ts, one.last_ts) == volume_by_ms(want, one.first_ts + 999, one.last_ts)
        assert sum(one.last_ts - one.first_ts for one in stretches) > 3_000_000

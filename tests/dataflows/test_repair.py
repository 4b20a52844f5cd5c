"""Old gaps are asked for again: real lake, real ledger, and the simulated exchange as the venue."""

import os
import socket
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from gapped import NATIVE, holes_at, market, minutes_of, places, put, records_of
from rows import everything

from core.errors import UnknownName, UserError
from core.timeframes import DAY, MINUTE
from dataflows import repair as repairing
from dataflows.repair import repair
from dataflows.system import opened
from storage.data_folder import DataFolder
from storage.journal.folder import FeedFolder
from storage.journal.lease import Lease

SPANS = ((0.2, 0.22), (0.5, 0.7))


@pytest.fixture(scope="module")
def exchange():
    with market() as one:
        yield one


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with places(tmp_path_factory.mktemp("repair")) as made:
        yield made


@pytest.fixture
def place(server):
    return server.new()


def outcomes(summary):
    return [(one.outcome, one.trades, one.gap.missing) for one in summary.gaps]


@pytest.mark.parametrize("venue", ["okx", "bitget"])
def test_what_the_venue_still_has_comes_back_to_the_last_digit_and_once(place, exchange, venue):
    settings, truth = exchange.settings(place, venue), exchange.truth(venue)
    holes = holes_at(truth, *SPANS)
    put(settings, records_of(truth, holes))
    before = everything(settings)
    assert [gap[1] for gap in before["gaps"]] == ["open", "open"]
    seen = []
    summary = repair(settings, on_progress=seen.append)
    assert outcomes(summary) == [("repaired", high - low, 0) for low, high in holes]
    assert (seen[-1].done, seen[-1].total, seen[-1].trades) == (2, 2, sum(high - low for low, high in holes))
    after = everything(settings)
    assert [(row[2], row[5], row[6], row[7]) for row in after["trades"]] == sorted(
        zip(truth.ids.tolist(), truth.price.tolist(), truth.size.tolist(), truth.side.tolist(), strict=True)
    )
    assert not after["dirty"]
    assert after["first"] == before["first"], "what the dataflow wrote first is not touched"
    wanted = exchange.candles()
    found, complete = minutes_of(settings, venue)
    assert {start: found[start] for start in wanted} == wanted
    assert complete == wanted.keys()
    assert len(after["coverage"]) == 1

    # A second time there is nothing to do; and the recorder, who comes late, brings nothing new.
    assert repair(settings).gaps == ()
    assert everything(settings) == after
    late = [record for low, high in holes for record in records_of(truth.take(slice(low, high)), ended=False)]
    put(settings, late)
    again = everything(settings)
    for name in ("trades", "gaps", "coverage", "latest", "twice"):
        assert again[name] == after[name], name


@pytest.mark.parametrize("venue", ["simulated", "okx"])
def test_what_the_venue_does_not_have_stays_a_gap_that_says_so(place, exchange, venue):
    settings, truth = exchange.settings(place, venue), exchange.truth(venue)
    # Of the first hole some in the middle and all of a long stretch, of the second everything.
    first, second = holes_at(truth, (0.3, 0.45), (0.6, 0.63))
    lost = [(first[0] + 5, first[0] + 8), (first[0] + 40, first[0] + 340), second]
    put(settings, records_of(truth, [first, second]))
    for low, high in lost:
        exchange.hide(truth.take(slice(low, high)))
    summary = repair(settings)
    assert [(one.outcome, one.gap.missing, one.trades) for one in summary.gaps] == [
        ("unfillable", 303, first[1] - first[0] - 303),
        ("unfillable", second[1] - second[0], 0),
    ]
    assert all("does not have it" in one.why for one in summary.gaps)
    found = everything(settings)
    kept = np.ones(len(truth), bool)
    for low, high in lost:
        kept[low:high] = False
    assert [row[2] for row in found["trades"]] == truth.ids[kept].tolist()
    assert [gap[1] for gap in found["gaps"]] == ["unfillable", "unfillable"]
    touched = {int(ts) // MINUTE * MINUTE for low, high in lost for ts in truth.ts[low:high]}
    assert minutes_of(settings, venue)[1] == exchange.candles().keys() - touched
    # It is not asked for again, unless somebody wants it: the venue may have been wrong.
    assert repair(settings).gaps == ()
    exchange.tape.hidden.clear()
    again = repair(settings, unfillable=True)
    assert outcomes(again) == [("repaired", 303, 0), ("repaired", second[1] - second[0], 0)]
    stored, complete = minutes_of(settings, venue)
    assert {start: stored[start] for start in complete} == exchange.candles()


def test_where_ids_do_not_chain_the_part_behind_the_venues_reach_is_lost(place, exchange):
    settings, truth = exchange.settings(place, "bitget"), exchange.truth("bitget")
    [(low, high)] = holes_at(truth, (0.3, 0.5))
    put(settings, records_of(truth, [(low, high)]))
    reach = next(at for at in range(low + 200, high) if truth.ts[at] > truth.ts[at - 1])
    exchange.hide(exchange.tape.tape.from_id(NATIVE, 0, reach, exchange.tape.end))
    [one] = repair(settings).gaps
    exchange.tape.hidden.clear()
    assert (one.outcome, one.trades) == ("unfillable", high - reach)
    # Of the moment at the edge there may be more.
    assert one.gap.missing == truth.ts[reach] - truth.ts[low - 1]
    assert {row[2] for row in everything(settings)["trades"]} == {
        *truth.ids[:low].tolist(),
        *truth.ids[reach:].tolist(),
    }


def test_who_is_busy_or_away_or_speaks_of_another_market_proves_nothing(place, exchange, monkeypatch):
    settings, truth = exchange.settings(place, "okx"), exchange.truth("okx")
    put(settings, records_of(truth, holes_at(truth, (0.3, 0.32), (0.4, 0.42))))
    before = everything(settings)
    with pytest.raises(UnknownName, match="did you mean 'okx:BTC-USDT'"):
        repair(settings, instruments=["okx:BTC-USD"])
    with pytest.raises(UserError, match="no instrument name"):
        repair(settings, instruments=["BTCUSDT"])
    monkeypatch.setattr(repairing, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(repairing, "TRIES", 2)
    with opened(settings, "busy", hold=False) as system, system.ledger.lease("trades of okx:BTC-USDT"):
        busy = repair(settings, instruments=["okx:BTC-USDT"])
    assert [one.outcome for one in busy.gaps] == ["busy", "busy"]
    assert f"process {os.getpid()}" in busy.gaps[0].why
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = repair(exchange.settings(place, "okx", port=nobody.getsockname()[1]))
    assert [one.outcome for one in away.gaps] == ["unanswered", "unanswered"]
    assert away.left == 2
    assert "127.0.0.1" in away.gaps[0].why
    exchange.served.exchange.clock.shift += DAY
    other = repair(settings)
    exchange.served.exchange.clock.shift -= DAY
    assert [one.outcome for one in other.gaps] == ["unanswered", "unanswered"]
    assert "another time" in other.gaps[0].why
    assert everything(settings) == before
    assert repair(settings).count("repaired") == 2


@contextmanager
def recorder(settings, feed="f"):
    lease = Lease(FeedFolder(DataFolder(settings.data).journal, feed))
    try:
        yield
    finally:
        lease.release()


def test_what_the_recorder_is_still_at_is_left_to_it(place, exchange):
    settings, truth = exchange.settings(place, "okx"), exchange.truth("okx")
    old, fresh = holes_at(truth, (0.3, 0.32), (0.97, 0.975))
    put(settings, records_of(truth, [old, fresh], ended=False))
    with recorder(settings):
        summary = repair(settings)
    assert [(one.outcome, one.trades) for one in summary.gaps] == [("repaired", old[1] - old[0]), ("recent", 0)]
    assert summary.left == 0
    # The recorder has brought it meanwhile: nothing is left to do.
    put(settings, records_of(truth.take(slice(*fresh))))
    assert repair(settings).gaps == ()
    assert [row[2] for row in everything(settings)["trades"]] == truth.ids.tolist()


def test_where_nothing_records_what_is_not_closed_stays_and_who_fetches_it_is_said(place, exchange):
    settings, truth = exchange.settings(place, "okx"), exchange.truth("okx")
    (fresh,) = holes_at(truth, (0.97, 0.975))
    put(settings, records_of(truth, [fresh], ended=False))
    before = everything(settings)
    other = settings.feeds[0].model_copy(update={"name": "other", "instruments": ("okx:ETH-USDT",)})
    beside = settings.model_copy(update={"feeds": (*settings.feeds, other)})
    (DataFolder(settings.data).journal / "other").mkdir()
    # A recorder of another instrument brings nothing of this one.
    with recorder(settings, "other"):
        summary = repair(beside)
    assert outcomes(summary) == [("unrecorded", 0, fresh[1] - fresh[0])]
    assert "`tidemill up` fetches it" in summary.gaps[0].why
    assert summary.left == 1
    assert everything(settings) == before
    # A feed that the settings do not know any more may record it.
    with recorder(settings):
        assert repair(settings.model_copy(update={"feeds": (other,)})).count("recent") == 1


def test_a_venue_that_gives_its_trades_other_ids_than_it_streamed_is_not_believed(place, exchange):
    settings, truth = exchange.settings(place, "bitget"), exchange.truth("bitget")
    streamed = replace(truth, ids=truth.ids + 1)
    put(settings, records_of(streamed, holes_at(truth, (0.3, 0.5))))
    before = everything(settings)
    [one] = repair(settings).gaps
    assert (one.outcome, one.trades) == ("unanswered", 0)
    assert "other ids" in one.why
    after = everything(settings)
    assert [after[name] for name in ("trades", "gaps", "coverage")] == [
        before[name] for name in ("trades", "gaps", "coverage")
    ]

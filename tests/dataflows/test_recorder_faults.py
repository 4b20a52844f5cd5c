import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import json

from recording_process import FEED, Recorded, recording, settings_of
from scripted_venue import ScriptedVenue

from core.records import Kind
from core.settings import JournalSettings
from dataflows.recorder import catch_up

PROCESS = Path(__file__).parent / "recording_process.py"


@pytest.fixture
def venue():
    with ScriptedVenue() as venue:
        yield venue


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(catch_up, "PATIENCE_SECONDS", 0.2)


def subscribed(venue):
    return venue.subscribed == {"btcusdt@trade"}


def covers(ids):
    return lambda recorded: set(ids) <= set(recorded.ids())


def connected(times):
    return lambda recorded: [mark.mark for mark in recorded.marks()].count("connected") == times


def test_what_was_missed_while_not_connected_is_fetched(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed)
        recorded.wait_for(covers(venue.publish(20)))
        venue.drop()
        venue.mute = True
        missed = venue.publish(2300)
        recorded.wait_for(connected(2))
        # No further trade shows the hole: the venue is asked.
        recorded.wait_for(covers(missed))
        assert recorded.ids() == list(range(1, 2321))
        venue.mute = False
        venue.wait_for(subscribed)
        after = venue.publish(5)
        recorded.wait_for(covers(after))
        assert recorded.ids() == list(range(1, 2326))
        assert [mark.mark for mark in recorded.marks()] == ["connected", "lost", "connected"]


def test_holes_in_a_live_stream_are_filled_by_what_is_missing_alone(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed)
        hidden = {3, 4, 50, 700, *range(1500, 2700)}
        sent = venue.publish(3000, hidden=hidden)
        recorded.wait_for(covers(sent))
        assert sorted(recorded.ids()) == list(sent)
        assert sorted(recorded.ids(kinds=(Kind.TRADES,))) == sorted(hidden)
        count = component.registry.get_sample_value
        assert count("tidemill_recorder_caught_up_trades_total", {"feed": FEED}) == len(hidden)


def test_a_hole_that_rest_cannot_fill_is_given_up(tmp_path, venue, monkeypatch):
    monkeypatch.setattr(catch_up, "TRIES", 2)
    settings = settings_of(tmp_path, venue.urls)
    venue.missing = {10, 11}
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed)
        sent = venue.publish(30, hidden={10, 11, 20})
        recorded.wait_for(lambda r: component.health().figures[f"{FEED} left_holes"] == 1)
        recorded.wait_for(covers(set(sent) - {10, 11}))
        assert component.health().figures[f"{FEED} holes"] == 1
        asked = len(venue.asked)
        recorded.wait_for(lambda r: len(r.ticks()) >= 2)
        assert not [path for path in venue.asked[asked:] if "fromId" in path]


def test_rest_that_is_away_for_a_while_is_waited_for(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed)
        venue.html = True
        asked = len(venue.asked)
        sent = venue.publish(30, hidden={10, 11, 20})
        venue.wait_for(lambda v: [path for path in v.asked[asked:] if "fromId" in path])
        venue.html = False
        recorded.wait_for(covers(sent))


def test_a_hole_too_large_is_left_and_later_trades_go_on(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls, catch_up_trades=100)
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed)
        recorded.wait_for(covers(venue.publish(5)))
        venue.drop()
        venue.mute = True
        venue.publish(5000)
        recorded.wait_for(lambda r: component.health().figures[f"{FEED} left_holes"] == 1)
        assert max(recorded.ids()) == 5005
        assert not [path for path in venue.asked if "fromId=6" in path]


def test_a_connection_that_has_fallen_silent_is_noticed_by_its_data(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls, first_data_s=0.3, stale_s=0.3)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed)
        recorded.wait_for(covers(venue.publish(5)))
        asked = len(venue.asked)
        venue.wait_for(lambda v: len([path for path in v.asked[asked:] if "/trades" in path]) >= 2)
        assert [mark.mark for mark in recorded.marks()] == ["connected"]
        venue.mute = True
        missed = venue.publish(5)
        recorded.wait_for(lambda r: "lost" in [mark.mark for mark in r.marks()])
        venue.mute = False
        recorded.wait_for(covers(missed))


def test_a_full_journal_drops_the_connection_and_comes_back(tmp_path, venue, monkeypatch):
    monkeypatch.setattr("dataflows.recorder.commit_log.RETRY_SECONDS", 0.05)
    limits = JournalSettings(segment_bytes=65_536, max_bytes=524_288)
    settings = settings_of(tmp_path, venue.urls, journal=limits)
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed)
        sent = list(venue.publish(5000))
        venue.wait_for(lambda v: not v.connections)
        recorded.wait_for(lambda r: component.health().state == "down")
        assert "is full" in " ".join(component.health().why)
        sent += venue.publish(500)

        def consumed(recorded):
            recorded.more().journal.consumed(FEED, "reader", recorded.last)
            return covers(sent)(recorded)

        recorded.wait_for(consumed)
        assert ("lost", "journal_full") in [(mark.mark, mark.cause) for mark in recorded.marks()]
        assert connected(2)(recorded)
        frames = recorded.ids(kinds=(Kind.FRAME,))
        assert frames == sorted(frames)


def test_a_clock_that_steps_back_is_told_and_times_go_on(tmp_path, venue, monkeypatch):
    step = [0]
    monkeypatch.setattr("dataflows.recorder.recorder.wall_clock", lambda: time.time_ns() // 1000 + step[0])
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed)
        recorded.wait_for(covers(venue.publish(5)))
        step[0] = -60_000_000
        recorded.wait_for(covers(venue.publish(5)))
        assert component.health().state == "degraded"
        assert "stepped back" in " ".join(component.health().why)
        step[0] = 0
        recorded.wait_for(covers(venue.publish(5)))
        assert component.health().state == "healthy"
        received = [record.received_at for record in recorded.records]
        assert received == sorted(received)


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_kill_9_at_any_moment_loses_nothing(tmp_path, venue, kills):
    rng = random.Random(kills)
    settings = settings_of(tmp_path, venue.urls)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, PROCESS, tmp_path, json.dumps(venue.urls)]
    with Recorded(settings) as recorded:
        for _ in range(kills):
            with subprocess.Popen(command, env=environment) as process:
                try:
                    venue.wait_for(subscribed)
                    for _ in range(rng.randrange(1, 40)):
                        venue.publish(rng.choice([1, 1, 20, 400]))
                        time.sleep(rng.uniform(0, 0.01))
                finally:
                    process.kill()
            venue.wait_for(lambda v: not v.connections)
            venue.publish(rng.choice([0, 1, 1500]))
        with recording(settings):
            venue.wait_for(subscribed)
            sent = venue.publish(1)
            recorded.wait_for(covers(range(1, sent[-1] + 1)))
        frames = recorded.ids(kinds=(Kind.FRAME,))
        assert frames == sorted(set(frames))

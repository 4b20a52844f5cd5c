import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import FEED, Recorded, recording, settings_of
from scripted_venue import ScriptedVenue

from core.errors import Busy, IntegrityError
from core.records import Kind, Record
from core.settings import FeedSettings
from dataflows.inbox import INBOX
from dataflows.recorder import component
from storage.data_folder import DataFolder
from storage.journal import Journal

OTHER = "other"


@pytest.fixture
def venue():
    with ScriptedVenue() as venue:
        yield venue


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(component, "BACK_OFF_SECONDS", (0.05, 0.2))


@pytest.fixture
def settings(tmp_path, venue):
    one = settings_of(tmp_path, venue.urls)
    other = FeedSettings(name=OTHER, venue="simulated", instruments=("simulated:BTC-USDT",), **venue.urls)
    return one.model_copy(update={"feeds": (*one.feeds, other)})


def test_a_feed_that_somebody_else_records_leaves_the_others_alone_and_is_tried_again(settings, venue):
    with Journal(DataFolder(settings.data).journal) as elsewhere:
        elsewhere.append(OTHER, [])
        with recording(settings) as recorder, Recorded(settings) as recorded:
            recorded.wait_for(lambda r: "another recorder" in " ".join(recorder.health().why))
            assert recorder.health().state == "down"
            assert [why.partition(":")[0] for why in recorder.health().why if "another" in why] == [OTHER]
            venue.wait_for(lambda v: v.connections == 1)
            sent = venue.publish(20)
            recorded.wait_for(lambda r: set(sent) <= set(r.ids()))
            elsewhere.close()
            recorded.wait_for(lambda r: recorder.health().state == "healthy")
            assert recorder.health().figures[f"{OTHER} connections"] == 1
            assert [mark.mark for mark in recorded.marks()] == ["connected"]


def test_when_no_feed_can_be_recorded_the_recording_ends(settings):
    with Journal(DataFolder(settings.data).journal) as elsewhere:
        elsewhere.append(OTHER, [])
        elsewhere.append(FEED, [])
        with pytest.raises(Busy, match="another recorder"), recording(settings) as recorder:
            recorder.thread.join(20)


def test_what_contradicts_itself_for_every_feed_ends_the_recording(settings):
    with Journal(DataFolder(settings.data).commands, segment_bytes=65_536) as inbox:
        inbox.append(INBOX, [Record(Kind.COMMAND, 1, b"no command")])
    with pytest.raises(IntegrityError, match="cannot be read"), recording(settings) as recorder:
        recorder.thread.join(20)

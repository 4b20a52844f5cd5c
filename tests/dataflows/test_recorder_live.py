import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import Recorded, recording, settings_of
from scripted_venue import ScriptedVenue


@pytest.fixture
def venue():
    with ScriptedVenue() as venue:
        yield venue


def covers(ids):
    return lambda recorded: set(ids) <= set(recorded.ids())


def test_what_is_sent_is_recorded_in_order_and_only_once(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(lambda v: v.subscribed)
        sent = [number for count in (1, 500, 3, 2000) for number in venue.publish(count)]
        recorded.wait_for(covers(sent))
        assert recorded.ids() == sent

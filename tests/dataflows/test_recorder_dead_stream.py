import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import Recorded, recording, settings_of
from scripted_venue import ScriptedVenue

from exchanges import stale_streams

BTC, ETH, SOL = "simulated:BTC-USDT", "simulated:ETH-USDT", "simulated:SOL-USDT"
NEVER_SENT = range(1, 1_000_000)


@pytest.fixture
def venue():
    with ScriptedVenue(("BTCUSDT", "ETHUSDT", "SOLUSDT")) as venue:
        yield venue


def test_a_stream_that_died_among_living_ones_is_marked_and_its_trades_are_fetched(tmp_path, venue, monkeypatch):
    monkeypatch.setattr(stale_streams, "ON_ITS_WAY_SECONDS", 0.2)
    settings = settings_of(tmp_path, venue.urls, (BTC, ETH), first_data_s=0.5, stale_s=0.5)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(lambda v: v.subscribed == {"btcusdt@trade", "ethusdt@trade"})
        venue.publish(5, "ETHUSDT")
        recorded.wait_for(lambda r: len(r.ids("ETHUSDT")) == 5)
        missed = venue.publish(20, "ETHUSDT", hidden=NEVER_SENT)

        def marked(recorded):
            venue.publish(1)
            return any(mark.mark == "lost" for mark in recorded.marks())

        recorded.wait_for(marked)
        recorded.wait_for(lambda r: set(missed) <= set(r.ids("ETHUSDT")))
        first, lost, back = recorded.marks()[:3]
        assert (first.mark, first.instruments) == ("connected", (BTC, ETH))
        assert (lost.mark, lost.instruments) == ("lost", (ETH,))
        assert lost.cause.startswith("silence: ethusdt@trade alone")
        assert (back.mark, back.instruments) == ("connected", (ETH,))
        venue.wait_for(lambda v: v.subscribed == {"btcusdt@trade", "ethusdt@trade"})


def test_where_one_stream_died_those_that_only_seem_quiet_are_doubted_too(tmp_path, venue, monkeypatch):
    monkeypatch.setattr(stale_streams, "ON_ITS_WAY_SECONDS", 0.2)
    settings = settings_of(tmp_path, venue.urls, (BTC, ETH, SOL), first_data_s=0.5, stale_s=0.5)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(lambda v: len(v.subscribed) == 3)
        venue.publish(5, "ETHUSDT")
        venue.publish(5, "SOLUSDT")
        recorded.wait_for(lambda r: len(r.ids("ETHUSDT")) == len(r.ids("SOLUSDT")) == 5)
        venue.publish(20, "ETHUSDT", hidden=NEVER_SENT)

        def marked(recorded):
            venue.publish(1)
            return any(mark.mark == "lost" for mark in recorded.marks())

        recorded.wait_for(marked)
        _, lost, back = recorded.marks()[:3]
        assert (lost.mark, lost.instruments) == ("lost", (ETH, SOL))
        assert (back.mark, back.instruments) == ("connected", (ETH, SOL))

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import FEED, Recorded, decoded, recording, settings_of
from scripted_venue import ScriptedVenue

from core.errors import Busy
from core.records import Command, Kind, VenueCandles
from core.timeframes import MINUTE
from dataflows.inbox import Inbox
from storage.data_folder import DataFolder

BTC, ETH = "simulated:BTC-USDT", "simulated:ETH-USDT"


@pytest.fixture
def venue():
    with ScriptedVenue(("BTCUSDT", "ETHUSDT")) as venue:
        yield venue


def covers(ids, symbol="BTCUSDT"):
    return lambda recorded: set(ids) <= set(recorded.ids(symbol))


def subscribed(*streams):
    return lambda venue: venue.subscribed == set(streams)


def test_what_is_sent_is_recorded_in_order_and_only_once(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    with Recorded(settings) as recorded:
        with recording(settings) as component:
            venue.wait_for(subscribed("btcusdt@trade"))
            sent = [number for count in (1, 500, 3, 2000) for number in venue.publish(count)]
            recorded.wait_for(covers(sent))
            recorded.wait_for(lambda r: component.health().figures[f"{FEED} trades"] == len(sent))
            assert component.health().state == "healthy"
            figure = component.registry.get_sample_value
            assert figure("tidemill_recorder_trades_total", {"feed": FEED}) == len(sent)
        # What REST told of before the connection was read may come over it once more; the order is that of the ids.
        assert list(dict.fromkeys(recorded.ids())) == sent
        assert [mark.mark for mark in recorded.marks()] == ["connected", "lost"]
        assert recorded.marks()[-1].cause == "stopped"
        assert recorded.records[-1].kind == Kind.MARK
        received = [record.received_at for record in recorded.records]
        assert received == sorted(received)


def test_garbage_is_recorded_as_it_came(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    garbage = [b"\xff\xfe{", b"", b'{"stream":', b"[" * 1000, b'{"e":"trade","t":"one"}', b"two\nlines", "text"]
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        for frame in garbage:
            venue.send(frame)
        sent = venue.publish(2)
        recorded.wait_for(covers(sent))
        frames = [record.payload for record in recorded.of(Kind.FRAME)]
        assert frames[-len(garbage) - 2 : -2] == [*garbage[:-1], b"text"]
        figure = component.registry.get_sample_value
        recorded.wait_for(lambda r: figure("tidemill_recorder_unreadable_total", {"feed": FEED}) == len(garbage))


def test_what_was_missed_stands_before_what_comes_live(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        before = venue.publish(20)
        recorded.wait_for(covers(before))
    missed = venue.publish(2_500)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        live = venue.publish(10)
        recorded.wait_for(covers(live))
        ids = list(dict.fromkeys(recorded.ids()))
        assert ids[-len(missed) - len(live) :] == [*missed, *live]
        assert ids == sorted(ids)


def test_an_instrument_that_is_new_gets_its_past_first(tmp_path, venue):
    past = venue.publish(2500)
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        sent = venue.publish(10)
        recorded.wait_for(covers(sent))
    with Recorded(settings) as recorded:
        assert list(dict.fromkeys(recorded.ids())) == [*past, *sent]
        kinds = [record.kind for record in recorded.more().records]
        first_mark = kinds.index(Kind.MARK)
        assert kinds[:2] == [Kind.LISTING, Kind.CANDLES]
        assert set(kinds[2:first_mark]) == {Kind.TRADES}
        candles = [decoded(record, VenueCandles) for record in recorded.of(Kind.CANDLES)]
        assert {(c.instrument, c.timeframe) for c in candles} == {(BTC, "1m")}
        starts = [row[0] for row in candles[0].rows]
        assert starts == list(range(starts[0], starts[0] + len(starts) * MINUTE, MINUTE))
        assert starts[-1] + MINUTE <= recorded.records[0].received_at
    with recording(settings), Recorded(settings) as recorded:
        recorded.wait_for(lambda r: [mark.mark for mark in r.marks()].count("connected") == 2)
        # They are told again at every start: a strategy may be new, and the lake's past too short for it.
        recorded.wait_for(lambda r: len(r.of(Kind.CANDLES)) == 2)


def test_a_venue_without_a_past_is_recorded_all_the_same(tmp_path, venue, monkeypatch):
    monkeypatch.setattr("dataflows.recorder.subscriptions._PAUSE_SECONDS", 0.01)
    venue.rest_down = True
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        recorded.wait_for(covers(venue.publish(5)))
        assert recorded.records[0].kind == Kind.MARK


def test_an_absent_venue_is_waited_for(tmp_path, venue, monkeypatch):
    monkeypatch.setattr("dataflows.recorder.subscriptions._PAUSE_SECONDS", 0.01)
    with ScriptedVenue() as absent:
        port = absent.port
    settings = settings_of(tmp_path, absent.urls)
    with recording(settings) as component, Recorded(settings) as recorded:
        recorded.wait_for(lambda r: "not connected for" in " ".join(component.health().why))
        assert component.health().state == "down"
        with ScriptedVenue(port=port) as venue:
            venue.wait_for(subscribed("btcusdt@trade"))
            recorded.wait_for(covers(venue.publish(5)))


def test_a_second_recorder_is_refused(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        with pytest.raises(Busy, match="another recorder"), recording(settings) as second:
            second.thread.join(20)
        sent = venue.publish(5)
        recorded.wait_for(covers(sent))
        assert recorded.ids() == list(sent)
        assert [mark.mark for mark in recorded.marks()] == ["connected"]


def test_instruments_are_added_and_removed_while_it_runs(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    venue.publish(3, "ETHUSDT")
    with recording(settings) as component, Recorded(settings) as recorded, Inbox(DataFolder(tmp_path)) as inbox:
        venue.wait_for(subscribed("btcusdt@trade"))
        added = inbox.submit(Command("subscribe", FEED, {"instrument": ETH}))
        inbox.submit(Command("subscribe", "other", {"instrument": "simulated:SOL-USDT"}))
        refused = inbox.submit(Command("subscribe", FEED, {"instrument": "simulated:ETHX-USDT"}))
        venue.wait_for(subscribed("btcusdt@trade", "ethusdt@trade"))
        recorded.wait_for(covers([*venue.publish(4, "ETHUSDT"), 1, 2, 3], "ETHUSDT"))
        assert recorded.ids("ETHUSDT") == [1, 2, 3, 4, 5, 6, 7]
        recorded.wait_for(lambda r: len(r.commands()) == 2)
        copies = {int(command.values["offset"]): command.values for command in recorded.commands()}
        assert copies[added] == {"instrument": ETH, "offset": str(added)}
        assert "did you mean 'simulated:ETH-USDT'" in copies[refused]["refused"]
        inbox.submit(Command("unsubscribe", FEED, {"instrument": BTC}))
        venue.wait_for(subscribed("ethusdt@trade"))
        assert [mark.mark for mark in recorded.marks() if mark.instruments != (ETH,)] == ["connected"]
        assert component.health().state == "healthy"
        inbox.submit(Command("unsubscribe", FEED, {"instrument": ETH}))
        venue.wait_for(lambda v: not v.connections)
        recorded.wait_for(lambda r: component.health().why == (f"{FEED}: no instrument to record",))


def test_commands_are_remembered_and_acted_on_after_a_start(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    with Inbox(DataFolder(tmp_path)) as inbox, Recorded(settings) as recorded:
        inbox.submit(Command("subscribe", FEED, {"instrument": ETH}))
        inbox.submit(Command("subscribe", FEED, {"instrument": "simulated:NONE-USDT"}))
        inbox.submit(Command("unsubscribe", FEED, {"instrument": BTC}))
        for _ in range(2):
            with recording(settings):
                venue.wait_for(subscribed("ethusdt@trade"))
                recorded.wait_for(covers(venue.publish(2, "ETHUSDT"), "ETHUSDT"))
        assert [command.values["offset"] for command in recorded.commands()] == ["0", "1", "2"]
        assert ["refused" in command.values for command in recorded.commands()] == [False, True, False]


class SlowVenue(ScriptedVenue):
    """Answers no request of REST before it is told to."""

    silent = True

    async def _answer(self, connection, request):
        while self.silent and "/api/" in request.path:
            await asyncio.sleep(0.01)
        return await super()._answer(connection, request)


def test_until_the_venue_has_told_its_list_a_feed_is_starting(tmp_path):
    with SlowVenue(("BTCUSDT",)) as venue:
        settings = settings_of(tmp_path, venue.urls)
        with recording(settings) as component, Recorded(settings) as recorded:
            recorded.wait_for(lambda r: "venue's list" in " ".join(component.health().why))
            assert component.health().why == (f"{FEED}: starting: the venue's list is awaited",)
            venue.silent = False
            venue.wait_for(subscribed("btcusdt@trade"))
            recorded.wait_for(lambda r: component.health().state == "healthy")

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import FEED, Recorded, recording, settings_of
from scripted_venue import ScriptedVenue

from core.records import Command, Kind
from dataflows.inbox import Inbox
from dataflows.recorder import known_trades, listings, subscriptions
from storage.data_folder import DataFolder

BTC, ETH, NONE = "simulated:BTC-USDT", "simulated:ETH-USDT", "simulated:NONE-USDT"


@pytest.fixture
def venue():
    with ScriptedVenue(("BTCUSDT", "ETHUSDT")) as venue:
        yield venue


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(subscriptions, "TRY_AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(listings, "ASK_SECONDS", 0.1)


@pytest.fixture
def inbox(tmp_path):
    with Inbox(DataFolder(tmp_path)) as inbox:
        yield inbox


def subscribed(*streams):
    return lambda venue: venue.subscribed == set(streams)


def covers(ids, symbol="BTCUSDT"):
    return lambda recorded: set(ids) <= set(recorded.ids(symbol))


def told(component, *words):
    return lambda _: all(word in " ".join(component.health().why) for word in words)


def test_what_was_added_before_stays_wanted_while_the_venue_does_not_list_it(tmp_path, venue, inbox):
    settings = settings_of(tmp_path, venue.urls)
    inbox.submit(Command("subscribe", FEED, {"instrument": ETH}))
    inbox.submit(Command("subscribe", FEED, {"instrument": NONE}))
    with recording(settings):
        venue.wait_for(subscribed("btcusdt@trade", "ethusdt@trade"))
    venue.halted = {"ETHUSDT"}
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        recorded.wait_for(told(component, ETH))
        assert component.health().state == "degraded"
        assert NONE not in " ".join(component.health().why)
        venue.halted = set()
        venue.wait_for(subscribed("btcusdt@trade", "ethusdt@trade"))
        recorded.wait_for(covers(venue.publish(3, "ETHUSDT"), "ETHUSDT"))
        recorded.wait_for(lambda _: component.health().state == "healthy")
        assert [command.values["offset"] for command in recorded.commands()] == ["0", "1"]


def test_an_instrument_of_the_settings_that_the_venue_does_not_list_is_tried_again(tmp_path, venue):
    venue.halted = {"ETHUSDT"}
    settings = settings_of(tmp_path, venue.urls, (BTC, ETH))
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        recorded.wait_for(told(component, ETH))
        venue.halted = set()
        venue.wait_for(subscribed("btcusdt@trade", "ethusdt@trade"))


def test_copies_far_back_in_the_journal_are_not_written_again(tmp_path, venue, inbox, monkeypatch):
    monkeypatch.setattr(known_trades, "TAIL_RECORDS", 40)
    settings = settings_of(tmp_path, venue.urls)
    inbox.submit(Command("subscribe", FEED, {"instrument": ETH}))
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade", "ethusdt@trade"))
        sent = venue.publish(300)
        venue.publish(1, "ETHUSDT")
        recorded.wait_for(covers(sent))
    later = inbox.submit(Command("unsubscribe", FEED, {"instrument": BTC}))
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed("ethusdt@trade"))
        recorded.wait_for(covers(venue.publish(1, "ETHUSDT"), "ETHUSDT"))
        assert [command.values["offset"] for command in recorded.commands()] == ["0", str(later)]


def test_an_instrument_whose_subscription_the_venue_refuses_is_told_and_tried_again(tmp_path, venue, inbox):
    venue.unwelcome = {"ethusdt@trade"}
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        recorded.wait_for(lambda _: component.health().state == "healthy")
        inbox.submit(Command("subscribe", FEED, {"instrument": ETH}))
        recorded.wait_for(told(component, ETH, "no such stream"))
        assert component.health().state == "degraded"
        recorded.wait_for(covers(venue.publish(3)))
        venue.unwelcome = set()
        venue.wait_for(subscribed("btcusdt@trade", "ethusdt@trade"))
        recorded.wait_for(covers(venue.publish(3, "ETHUSDT"), "ETHUSDT"))
        recorded.wait_for(lambda _: component.health().state == "healthy")
        # The connection stays; the instrument alone is taken in, twice.
        assert [mark.mark for mark in recorded.marks() if mark.instruments != (ETH,)] == ["connected"]
        assert [mark.mark for mark in recorded.marks() if mark.instruments == (ETH,)] == ["lost", "connected"] * 2


def test_a_channel_that_the_venue_refuses_is_asked_for_again_beside_the_trades(tmp_path, venue):
    venue.unwelcome = {"btcusdt@bookTicker"}
    settings = settings_of(tmp_path, venue.urls | {"channels": ("trade", "quote")})
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        recorded.wait_for(told(component, "does not take quote", BTC, "no such stream"))
        assert component.health().state == "degraded"
        for unwelcome, busy in ((venue.unwelcome, set()), (set(), venue.unwelcome)):
            venue.unwelcome, venue.busy = unwelcome, busy
            seen = venue.refusals
            venue.wait_for(lambda venue, seen=seen: venue.refusals >= seen + 3)
            recorded.wait_for(covers(venue.publish(3)))
        venue.busy = set()
        venue.wait_for(subscribed("btcusdt@trade", "btcusdt@bookTicker"))
        recorded.wait_for(lambda _: component.health().state == "healthy")
        recorded.wait_for(covers(venue.publish(3)))
        assert [mark.mark for mark in recorded.marks() if BTC in mark.instruments] == ["connected"]
        assert recorded.ids() == list(range(1, 10))


def test_a_past_that_could_not_be_fetched_is_told_and_fetched_beside_the_live_trades(tmp_path, venue, monkeypatch):
    monkeypatch.setattr(subscriptions, "_PAUSE_SECONDS", 0.01)
    past = venue.publish(2500)
    venue.rest_down = True
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        live = venue.publish(5)
        recorded.wait_for(covers(live))
        recorded.wait_for(told(component, f"the past of {BTC} could not be fetched"))
        assert component.health().state == "degraded"
        assert recorded.ids() == list(live)
        venue.rest_down = False
        recorded.wait_for(covers(past))
        recorded.wait_for(lambda _: component.health().state == "healthy")
        assert set(recorded.ids(kinds=(Kind.TRADES,))) == set(past)
        assert recorded.of(Kind.CANDLES)
        assert [mark.mark for mark in recorded.marks()] == ["connected"]


def gone(recorded, name=ETH):
    """Give the offsets of what the feed says of an instrument that is recorded no longer."""
    copies = [one.values for one in recorded.commands() if one.command == "unsubscribe"]
    return [values["offset"] for values in copies if values["instrument"] == name]


def test_the_feed_says_that_what_the_venue_turns_down_is_recorded_no_longer(tmp_path, venue, inbox, monkeypatch):
    monkeypatch.setattr(subscriptions, "TRY_AGAIN_SECONDS", 60.0)
    settings = settings_of(tmp_path, venue.urls, (BTC, ETH))
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed("btcusdt@trade", "ethusdt@trade"))
        recorded.wait_for(covers(venue.publish(3, "ETHUSDT"), "ETHUSDT"))
        inbox.submit(Command("unsubscribe", FEED, {"instrument": ETH}))
        venue.wait_for(subscribed("btcusdt@trade"))
        venue.unwelcome = {"ethusdt@trade"}
        inbox.submit(Command("subscribe", FEED, {"instrument": ETH}))
        recorded.wait_for(lambda r: gone(r) == ["0", "-1"])
        assert gone(recorded, BTC) == []
        kinds = [record.kind for record in recorded.records if record.kind in (Kind.MARK, Kind.COMMAND)]
        assert kinds[-3:] == [Kind.MARK, Kind.MARK, Kind.COMMAND]


def test_a_start_says_of_what_is_wanted_no_longer_that_it_is_recorded_no_longer(tmp_path, venue, inbox):
    both, one = settings_of(tmp_path, venue.urls, (BTC, ETH)), settings_of(tmp_path, venue.urls)
    with recording(both), Recorded(both) as recorded:
        venue.wait_for(subscribed("btcusdt@trade", "ethusdt@trade"))
        recorded.wait_for(covers(venue.publish(3, "ETHUSDT"), "ETHUSDT"))
        recorded.wait_for(covers(venue.publish(3)))
    with recording(one), Recorded(one) as recorded:
        venue.wait_for(subscribed("btcusdt@trade"))
        recorded.wait_for(lambda r: gone(r) == ["-1"])
    # One that is wanted, but not listed at present, neither; and what a command took out is said once.
    venue.halted = {"ETHUSDT"}
    taken_out = inbox.submit(Command("unsubscribe", FEED, {"instrument": BTC}))
    with recording(both), Recorded(both) as recorded:
        recorded.wait_for(lambda r: (gone(r), gone(r, BTC)) == (["-1", "-1"], [str(taken_out)]))
        venue.halted = set()
        venue.wait_for(subscribed("ethusdt@trade"))
        assert (gone(recorded), gone(recorded, BTC)) == (["-1", "-1"], [str(taken_out)])

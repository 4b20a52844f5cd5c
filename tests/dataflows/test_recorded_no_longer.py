"""What is recorded no longer gets no candles, and where it is recorded again the pause is a named gap."""

import json
import pickle

import pytest

from core.records import Command, Kind, Mark, Record, RecordBlock, Reread, Tick
from dataflows.decode import Arrivals, Decoder, FeedState
from dataflows.recorder.commands import marked, taken_out
from dataflows.recorder.known_trades import KnownTrades
from dataflows.steps import check_continuity, form_candles
from exchanges.registry import venue

NAME, KEY = "bybit:BTC-USDT-PERP", ("bybit:BTC-USDT-PERP", "execution")
T = 1_767_225_600_000
HOUR = 3_600_000


def frame(at, number):
    row = {"T": T + at, "s": "BTCUSDT", "S": "Buy", "v": "0.001", "p": "16578.5", "i": str(10**12 + number)}
    told = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": T + at, "data": [row]}
    return Record(Kind.FRAME, (T + at) * 1000, json.dumps(told).encode())


def at(ms, what):
    return what.record((T + ms) * 1000)


def ticks(first, last):
    return [at(ms, Tick((T + ms) * 1000)) for ms in range(first, last, 1000)]


def connected(ms, names=(NAME,)):
    return at(ms, Mark("connected", "c", instruments=names))


def command(ms, verb, offset=1, refused=None):
    return at(ms, marked(offset, Command(verb, "bybit", {"instrument": NAME}), refused))


STOP = command(5000, "unsubscribe")
LIVED = [connected(0), *(frame(n * 1000, n) for n in range(5))]
IN_FLIGHT = frame(5100, 50)


class Flow:
    """Run records through the steps up to the candles, and through what the recorder knows."""

    def __init__(self):
        self.decoder, self.recorder = Decoder({"bybit": "bybit-linear"}), KnownTrades(venue("bybit-linear"))
        self.feed = self.known = self.series = None
        self.offset = self.candles = 0
        self.gaps = []

    def take(self, *records):
        for record in records:
            block = RecordBlock.of("bybit", self.offset, [record])
            self.offset += 1
            self.recorder.take(block)
            self.feed, found = self.decoder(self.feed, block)
            for one in found:
                if isinstance(one, Arrivals):
                    self.known, checked = check_continuity(self.known, one, 500_000)
                    for step in checked:
                        self.gaps += step.continued.gaps
                        self.series, advanced = form_candles(self.series, step, ("1m",), 500_000)
                        self.candles += sum(len(batch) for more in advanced for batch in more.base)
        return self

    @property
    def proven(self):
        return [(one.first_ts // 1000 - T, one.last_ts // 1000 - T) for one in self.known.proven]


AGAIN = {
    "added to a connection": [
        command(HOUR, "subscribe", 2),
        at(HOUR, Mark("lost", "c", "not_recorded", (NAME,))),
        connected(HOUR),
    ],
    "a connection of its own": [command(HOUR, "subscribe", 2), connected(HOUR)],
    "lost, then wanted again": [at(5200, Mark("lost", "c", "stopped", (NAME,))), connected(HOUR)],
    "a mark that names nobody": [connected(HOUR, None)],
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize("in_flight", [[], [IN_FLIGHT]], ids=["nothing", "one"])
def test_a_pause_of_the_recording_is_a_gap_of_the_dataflow_as_of_the_recorder(again, in_flight):
    flow = Flow().take(*LIVED, STOP, *in_flight, *again, frame(HOUR + 1000, 100), frame(HOUR + 2000, 101))
    last = 5100 if in_flight else 4000
    assert flow.proven == [(0, last), (HOUR + 1000, HOUR + 2000)]
    assert flow.recorder.holes_of(KEY) == flow.known.holes
    # What the venue has no more of is told as lost for good.
    reached = (T + HOUR - 100_000) * 1000
    flow.take(
        at(HOUR + 3000, Reread(*KEY, reached + 1, (T + HOUR + 2000) * 1000, "closed")),
        at(HOUR + 3000, Reread(*KEY, (T + last) * 1000, reached, "unfillable")),
    )
    assert (flow.gaps[-1].after_ts, flow.gaps[-1].unfillable) == ((T + last) * 1000, True)
    assert flow.recorder.holes_of(KEY) == flow.known.holes != ()


def test_what_an_earlier_version_forgot_is_told_of_its_connection_all_the_same():
    flow = Flow().take(*LIVED)
    # It had pickled two fields, and the unsubscribed instrument was not among the known ones.
    state = FeedState.__new__(FeedState)
    state.__setstate__([{}, flow.feed.venue])
    for old in (state, {}):
        flow = Flow().take(*LIVED)
        flow.feed = old
        flow.take(*AGAIN["a connection of its own"], frame(HOUR + 1000, 100))
        assert flow.proven == [(0, 4000), (HOUR + 1000, HOUR + 1000)]
        assert pickle.loads(pickle.dumps(flow.feed)) == flow.feed


@pytest.mark.parametrize("stop", [STOP, at(5000, taken_out("bybit", NAME))], ids=["asked for", "taken out"])
@pytest.mark.parametrize("in_flight", [[], [IN_FLIGHT]], ids=["nothing", "one"])
def test_no_time_passes_by_what_is_recorded_no_longer(stop, in_flight):
    flow = Flow().take(*LIVED, stop, *in_flight)
    before = flow.candles
    flow.take(*ticks(6000, 300_000))
    assert flow.candles == before
    # A subscription that the venue turns down each time it is tried again changes nothing.
    for ms in range(300_000, 600_000, 60_000):
        flow.take(
            connected(ms), *ticks(ms, ms + 3000), at(ms + 3000, taken_out("bybit", NAME)), *ticks(ms + 3000, ms)
        )
    assert flow.candles == before


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_time_passes_again_with_the_first_trade_after_a_new_subscription(again):
    flow = Flow().take(*LIVED, STOP, IN_FLIGHT, *again, *ticks(HOUR, HOUR + 120_000))
    before = flow.candles
    flow.take(frame(HOUR + 121_000, 100))
    whole = flow.candles
    assert whole > before
    flow.take(*ticks(HOUR + 122_000, HOUR + 300_000))
    assert flow.candles > whole + 170


def test_a_refused_command_changes_nothing():
    flow = Flow().take(*LIVED, command(5000, "unsubscribe", refused="because"))
    before = flow.candles
    flow.take(*ticks(6000, 60_000))
    assert flow.candles > before + 50
    silent = Flow().take(*LIVED, STOP, command(6000, "subscribe", 2, "because"), frame(6100, 51))
    before = silent.candles
    assert silent.take(*ticks(7000, 60_000)).candles == before


def test_the_copy_of_no_command_is_not_one_that_was_acted_on():
    flow = Flow().take(command(0, "unsubscribe", 7), at(1, taken_out("bybit", NAME)))
    assert (flow.recorder.acted, flow.recorder.refused) == (7, set())

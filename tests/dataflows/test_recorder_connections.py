"""Which streams go over which connection, and what the journal is told of them."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).parents[1] / "exchanges"))
from dialects import DialectServer, dialect

from core.instruments import Instrument
from core.records import Mark
from dataflows.recorder.connections import Connections
from dataflows.recorder.intake import Intake
from dataflows.recorder.metrics import RecorderMetrics
from exchanges import session
from exchanges.attempts import Attempts
from exchanges.guard import Watch

COINS = ("BTC", "ETH", "SOL", "XRP", "ADA")
STREAMS = {coin: f"{coin.lower()}usdt@trade" for coin in COINS}
NAMES = {coin: f"binance:{coin}-USDT" for coin in COINS}


class Kept:
    """A commit log, a clock and a catch-up that keep what they are told."""

    def __init__(self) -> None:
        self.records, self.after, self.ordered, self.times = [], [], [], {}

    def put(self, record) -> None:
        self.records.append(record)

    def put_frames(self, frames, now) -> None:
        pass

    def now(self) -> int:
        return 1

    async def room(self) -> None:
        pass

    async def in_order(self, keys) -> None:
        self.ordered.append(keys)

    async def newer(self, keys) -> bool:
        return False

    def last_time(self, key) -> int:
        return self.times.get(key[0], 0)

    def look_after(self, keys) -> None:
        self.after += keys


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def intake(kept, registry):
    keys = {stream: (NAMES[coin], "trade") for coin, stream in STREAMS.items()}
    metrics = RecorderMetrics(registry).of("feed")
    return Intake("feed", kept, kept, kept, metrics, keys, asyncio.Event(), lambda *_: None, kept.last_time)


def marks(kept):
    return [msgspec.json.decode(record.payload, type=Mark) for record in kept.records]


async def until(reached) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("style", "most", "expected"),
    [("replacing", None, [2, 2, 1]), ("whole", None, [4, 1]), ("whole", 2, [2, 2, 1]), ("whole", 9, [4, 1])],
)
def test_no_connection_carries_more_than_it_can_or_should(intake, kept, monkeypatch, style, most, expected):
    monkeypatch.setattr(session, "SETTLE_SECONDS", 0.02)
    server, market = DialectServer(style), dialect(style)

    async def run() -> None:
        async with server.serving() as port:
            limits = replace(market.limits, streams=4, streams_per_message=2, messages=1000)
            venue = replace(market, websocket_url=f"ws://127.0.0.1:{port}", limits=limits)
            attempts, watch = Attempts(limits, base=0.01), Watch(5, 5)
            connections = Connections(venue, ["trade"], intake, attempts, watch, most=most)
            of = {coin: Instrument.parse(name) for coin, name in NAMES.items()}
            await connections.add([of["BTC"], of["ETH"], of["SOL"]])
            await connections.add([of["XRP"]])
            await connections.add([of["ADA"]])
            await until(lambda: server.streams == set(STREAMS.values()))
            assert sorted(map(len, server.subscribed.values()), reverse=True) == expected
            await connections.remove(of["ADA"])
            await until(lambda: server.streams == set(STREAMS.values()) - {STREAMS["ADA"]})
            await until(lambda: len(server.subscribed) == len(expected) - 1)
            await connections.suspend()
            await connections.resume()
            await until(lambda: server.streams == set(STREAMS.values()) - {STREAMS["ADA"]})
            assert sorted(map(len, server.subscribed.values()), reverse=True) == expected[:-1]
            await connections.suspend()

    asyncio.run(run())
    told = marks(kept)
    # An instrument that an open connection takes in may have been recorded before: nothing joins it to that time.
    causes = {
        mark.cause
        for mark in told
        if mark.mark == "lost" and mark.instruments not in ((NAMES["XRP"],), (NAMES["ADA"],))
    }
    assert causes == {"stopped"}
    assert {mark.cause for mark in told if mark.mark == "lost"} <= {"stopped", "not_recorded"}
    first = {name for mark in told[: len(expected)] for name in mark.instruments}
    assert first <= set(NAMES.values())
    assert {mark.mark for mark in told} == {"connected", "lost"}


def test_an_instrument_whose_only_stream_was_refused_leaves_no_connection(intake):
    server, market = DialectServer("whole", {STREAMS["BTC"]}), dialect("whole")

    async def run() -> None:
        async with server.serving() as port:
            venue = replace(market, websocket_url=f"ws://127.0.0.1:{port}")
            connections = Connections(venue, ["trade"], intake, Attempts(venue.limits), Watch(5, 5))
            instrument = Instrument.parse(NAMES["BTC"])
            await connections.add([instrument])
            await until(lambda: connections.links and connections.links[0].streams == ())
            await connections.remove(instrument)
            assert connections.links == []
            await until(lambda: not server.subscribed)

    asyncio.run(run())


def test_marks_name_the_instruments_whose_trades_a_connection_carries(intake, kept, registry):
    btc, eth = STREAMS["BTC"], STREAMS["ETH"]

    async def run() -> None:
        intake.connected("a", (eth, "btcusdt@bookTicker", btc))
        intake.resubscribed("a", (btc,))
        intake.interrupted("a", "silence: x alone", (eth, "btcusdt@bookTicker"))
        intake.lost("a", "silence: no data for 60 s", (btc, eth))
        intake.lost("a", "stopped", (btc,))
        intake.connected("b", ())
        intake.lost("b", "somebody's own words", ())
        intake.connected("c", (btc,))
        await asyncio.sleep(0)
        intake.close()

    asyncio.run(run())
    assert [(mark.mark, mark.connection, mark.cause, mark.instruments) for mark in marks(kept)] == [
        ("connected", "a", "", (NAMES["BTC"], NAMES["ETH"])),
        ("resubscribed", "a", "", (NAMES["BTC"],)),
        ("lost", "a", "silence: x alone", (NAMES["ETH"],)),
        ("connected", "a", "", (NAMES["ETH"],)),
        ("lost", "a", "silence: no data for 60 s", (NAMES["BTC"], NAMES["ETH"])),
        ("connected", "b", "", ()),
        ("lost", "b", "somebody's own words", ()),
        ("connected", "c", "", (NAMES["BTC"],)),
        ("lost", "c", "stopped", (NAMES["BTC"],)),
    ]
    assert kept.after == [(NAMES["ETH"], "trade")]
    count = registry.get_sample_value
    counted = {
        word: count("tidemill_recorder_lost_total", {"feed": "feed", "cause": word})
        for word in ("silence", "other", "stopped")
    }
    assert counted == {"silence": 1, "other": 1, "stopped": 1}


@pytest.mark.parametrize("many", [False, True])
def test_what_was_missed_is_asked_for_of_the_instruments_of_a_connection_alone(intake, kept, monkeypatch, many):
    if many:
        monkeypatch.setattr("dataflows.recorder.intake.MOST_IN_ORDER", 2)
    btc, eth = ((NAMES[coin], "trade") for coin in ("BTC", "ETH"))

    async def run() -> None:
        intake.connected("a", (STREAMS["BTC"], "btcusdt@bookTicker"))
        intake.connected("b", (STREAMS["ETH"],))
        await asyncio.wait_for(intake.room(), 5)
        intake.close()

    asyncio.run(run())
    assert kept.after == ([btc, eth] if many else [])
    assert kept.ordered == ([] if many else [[btc], [eth]])


def test_a_stream_is_silent_while_the_journal_has_no_newer_trade_of_it(intake, kept):
    btc, eth, sol = (STREAMS[coin] for coin in ("BTC", "ETH", "SOL"))
    kept.times = {NAMES["BTC"]: 10, NAMES["ETH"]: 20}
    followed = (btc, eth, sol, "btcusdt@bookTicker")
    assert intake.silent(followed) == (), "asked for the first time"
    assert intake.silent(followed) == (eth, btc, sol), "the most lively first"
    kept.times[NAMES["ETH"]] = 21
    assert intake.silent(followed) == (btc, sol)
    assert intake.silent((eth,)) == (eth,)


def test_an_instrument_that_comes_back_to_an_open_connection_is_not_joined_to_what_was_before(intake, kept):
    server, market = DialectServer("whole"), dialect("whole")
    btc, eth = (Instrument.parse(NAMES[coin]) for coin in ("BTC", "ETH"))

    async def run() -> None:
        async with server.serving() as port:
            venue = replace(market, websocket_url=f"ws://127.0.0.1:{port}")
            connections = Connections(venue, ["trade"], intake, Attempts(venue.limits), Watch(5, 5))
            await connections.add([btc, eth])
            await until(lambda: server.streams == {STREAMS["BTC"], STREAMS["ETH"]})
            await connections.remove(eth)
            await until(lambda: server.streams == {STREAMS["BTC"]})
            kept.records.clear()
            await connections.add([eth])
            await until(lambda: server.streams == {STREAMS["BTC"], STREAMS["ETH"]})
            told = [(mark.mark, mark.cause, mark.instruments) for mark in marks(kept)]
            assert told == [("lost", "not_recorded", (NAMES["ETH"],)), ("connected", "", (NAMES["ETH"],))]
            assert kept.after == [(NAMES["ETH"], "trade")]
            await connections.suspend()

    asyncio.run(run())

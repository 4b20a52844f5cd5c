"""What the recorder gives up: those ids alone that the venue said, several times, it does not have."""

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).parents[1] / "exchanges"))
from chained_market import INSTRUMENTS, PAGES, START, ChainedMarket

from core.records import Kind, Record, Reread
from core.settings import JournalSettings
from core.trades import TradeBatch
from dataflows.recorder import catch_up
from dataflows.recorder.catch_up import TRIES, CatchUp
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.known_trades import KnownTrades
from dataflows.recorder.metrics import RecorderMetrics
from dataflows.recorder.pursuit import pause
from exchanges.rest import Rest
from storage.journal import Journal

FEED = "f"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(catch_up, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr("dataflows.recorder.pursuit.LONGEST_WAIT_SECONDS", 0.0)


class Recording:
    """A catch-up at a market, with a real journal."""

    def __init__(self, market, space, catching, known, log, journal):
        self.market, self.catching, self._known, self._log, self._journal = market, catching, known, log, journal
        self.key = INSTRUMENTS[market.name].name, space

    async def receive(self, *ids):
        """Let trades come by themselves."""
        n, ones = np.array(ids, np.int64), np.ones(len(ids))
        side, fills = np.ones(len(ids), np.int8), np.ones(len(ids), np.int32)
        batch = TradeBatch(*self.key, n, *[(START + n) * 1000] * 2, ones * 1.5, ones * 2, side, fills, -n)
        self._log.put(Record(Kind.TRADES, SteadyClock().now(), batch.to_ipc()))
        await self._log.flushed()

    async def turn(self):
        await self.catching.turn(time.monotonic())
        await self._log.flushed()

    def missing(self, last):
        return self._known.missing(self.key, 1, last)

    def given_up(self):
        records = self._journal.read(FEED, -1, 10_000).records()
        told = [msgspec.json.decode(record.payload, type=Reread) for record in records if record.kind == Kind.REREAD]
        return [(one.first, one.last, one.outcome) for one in told]


def recorded(folder, market, run, space="trade"):
    """Run a coroutine function of a `Recording`."""

    @asynccontextmanager
    async def recording():
        metrics, instrument = RecorderMetrics(CollectorRegistry()).of(FEED), INSTRUMENTS[market.name]
        async with market.serving() as known_as:
            rest, known, clock = Rest(known_as), KnownTrades(known_as), SteadyClock()
            with Journal(folder) as journal:
                log = CommitLog(journal, FEED, 1 << 20, JournalSettings(), folder, known.take, metrics)
                await log.open()
                instruments = {instrument.name: instrument}
                catching = CatchUp(known_as, rest, known, log, clock, metrics, instruments, 10_000)
                try:
                    yield Recording(market, space, catching, known, log, journal)
                finally:
                    await log.close()
                    await rest.close()

    async def talk():
        async with recording() as one:
            await run(one)

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("binance", "trade"),
        ("binance", "aggregate"),
        ("okx", "trade"),
        ("okx", "merged"),
        ("coinbase", "trade"),
        ("deribit", "trade"),
    ],
)
def test_of_a_hole_that_the_venue_skipped_a_page_of_the_rest_is_fetched(tmp_path, name, space):
    page = PAGES[name]
    skipped, last = 10 + page + page // 2, 10 + 4 * page
    market = ChainedMarket(name, [*range(1, 11), *range(skipped + 1, last + 20)])

    async def run(one):
        await one.receive(*range(1, 11), last + 1, last + 2)
        for _ in range(TRIES):
            await one.turn()
            assert one.missing(last + 2) == [(11, skipped)]
            assert one.given_up() == []
        await one.turn()
        assert one.given_up() == [(11, skipped, "unfillable")]
        asked = market.asked
        await one.turn()
        assert (one.catching.left, market.asked) == (1, asked)

    recorded(tmp_path, market, run, space)


def test_a_ban_on_the_way_back_stops_it_and_what_has_come_stays(tmp_path):
    market = ChainedMarket("okx", [*range(1, 11), *range(201, 700)], [200, 200, 200, 429])

    async def run(one):
        await one.receive(*range(1, 11), 600)
        await one.turn()
        await one.turn()
        assert market.asked == 4
        assert one.missing(600) == [(11, 499)]
        assert (one.given_up(), one.catching.left) == ([], 0)

    recorded(tmp_path, market, run)


@pytest.mark.parametrize("comes", [True, False])
def test_tries_that_nobody_answered_give_nothing_up(tmp_path, monkeypatch, comes):
    monkeypatch.setattr("exchanges.breaker.FAILURES", 1_000)
    lagging = [*range(1, 11), *range(21, 40)]
    market = ChainedMarket("binance", lagging, [503] * (TRIES + 2))

    async def run(one):
        await one.receive(*range(1, 11), 21)
        for _ in range(TRIES + 2):
            await one.turn()
        assert market.answers == []
        for _ in range(TRIES - 1):
            await one.turn()
            assert (one.given_up(), one.catching.left) == ([], 0)
        if comes:
            market.ids = list(range(1, 40))
        await one.turn()
        assert one.missing(21) == ([] if comes else [(11, 20)])
        assert one.given_up() == ([] if comes else [(11, 20, "unfillable")])

    recorded(tmp_path, market, run)


def test_a_new_hole_beside_an_old_one_has_tries_of_its_own(tmp_path):
    market = ChainedMarket("binance", [*range(1, 11), *range(21, 31), *range(41, 60)])

    async def run(one):
        await one.receive(*range(1, 11), 21)
        for _ in range(TRIES - 1):
            await one.turn()
        await one.receive(*range(22, 31), 41)
        await one.turn()
        assert one.given_up() == [(11, 20, "unfillable")]
        for _ in range(TRIES - 1):
            assert one.given_up() == [(11, 20, "unfillable")]
            await one.turn()
        assert one.given_up()[1:] == [(31, 40, "unfillable")]

    recorded(tmp_path, market, run)


def test_what_the_venue_refuses_to_say_is_left_open(tmp_path):
    market = ChainedMarket("binance", [*range(1, 11), *range(21, 40)], [*[400] * (TRIES - 1), 200, 400])

    async def run(one):
        await one.receive(*range(1, 11), 21)
        for _ in range(TRIES):
            await one.turn()
            assert one.catching.left == 0
        await one.turn()
        assert (one.catching.left, one.given_up()) == (1, [])

    recorded(tmp_path, market, run)


def test_a_venue_may_be_away_for_any_number_of_tries(monkeypatch):
    monkeypatch.setattr("dataflows.recorder.pursuit.LONGEST_WAIT_SECONDS", 30.0)
    assert [pause(tries) for tries in (0, 1, 4, 5, 100_000)] == [1, 2, 16, 30, 30]

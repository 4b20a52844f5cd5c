"""The live components against the real ledger, lake and journal: they start, tell how they are, stop, recover."""

import contextlib
import os
import signal
import threading
import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from core.errors import Busy, TransientError
from core.records import Command, Kind, Record, Tick
from core.settings import FeedSettings, Settings, StrategySettings
from core.timeframes import MINUTE
from dataflows.inbox import Inbox
from dataflows.keeper import LedgerComponent
from dataflows.live import MarketComponent, ReviserComponent
from dataflows.system import opened
from simulator.frames import frames
from simulator.market import START, InventedMarket
from storage.data_folder import DataFolder
from storage.journal import Journal

FEED = "simulated"
NAMES = ("simulated:BTC-USDT", "simulated:ETH-USDT", "simulated:SOL-USDT")


@pytest.fixture
def settings(tmp_path):
    made = Settings(
        data=tmp_path / "data",
        feeds=(FeedSettings(name=FEED, instruments=NAMES),),
        strategies=(StrategySettings(name="rsi", params={"length": 2}),),
    )
    with opened(made, "test"):
        pass
    return made


class Running:
    """Run a component in a thread; re-raise what ended it."""

    def __init__(self, component):
        self.component, self.error = component, None
        self.stop, self.ready = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self.component.run(self.stop, self.ready.set)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
            self.ready.set()

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(60)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


def eventually(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
    return found


def records(minutes: int) -> list[Record]:
    market = InventedMarket(3)
    return [Record(Kind.FRAME, one.received, one.payload) for one in frames(market, minutes * MINUTE)]


def test_the_market_shows_what_it_knows_and_is_behind_nothing_in_the_end(settings):
    registry = CollectorRegistry()
    component = MarketComponent(settings, registry)
    assert component.health().state == "down"
    with Running(component) as running, Journal(DataFolder(settings.data).journal) as journal:
        assert running.error is None
        sent = records(5)
        journal.append(FEED, sent)
        board = eventually(lambda: _caught_up(component, len(sent)))
        assert [one["instrument"] for one in board["instruments"]] == list(NAMES)
        bitcoin = board["instruments"][0]
        assert float(bitcoin["forming"]["low"]) <= float(bitcoin["price"]) <= float(bitcoin["forming"]["high"])
        assert bitcoin["forming"]["start"] == START + 4 * MINUTE
        assert bitcoin["closed"]["start"] == START + 3 * MINUTE
        assert bitcoin["complete"] == 3 / 4
        eventually(lambda: component.board()["instruments"][0]["values"].keys() == {"rsi 1m"})
        # Time alone closes the minute, and the board says so.
        journal.append(FEED, [Tick(START + 6 * MINUTE).record(START + 6 * MINUTE)])
        eventually(lambda: component.board()["instruments"][0]["closed"]["start"] == START + 5 * MINUTE - MINUTE)
        assert component.health().state == "healthy"
        text = generate_latest(registry).decode()
        assert f'tidemill_records_total{{feed="{FEED}"}} {len(sent) + 1}.0' in text
        assert f'tidemill_trades_total{{feed="{FEED}"}} {len(sent)}.0' in text
    assert running.error is None


def _caught_up(component, trades):
    board = component.board()
    lag = board["feeds"][FEED]["lag_records"]
    return board if lag == 0 and sum(one["trades"] for one in board["instruments"]) == trades else None


def test_what_came_before_a_silence_is_in_the_lake_soon(settings):
    count = "SELECT count(*) FROM lake.trades"
    sent = records(1)
    with Running(MarketComponent(settings, CollectorRegistry())), opened(settings, "test", hold=False) as system:
        system.journal.append(FEED, sent[:-5])
        eventually(lambda: system.session.execute(count).fetchone() == (len(sent) - 5,))
        system.journal.append(FEED, sent[-5:])
        eventually(lambda: system.session.execute(count).fetchone() == (len(sent),))


def test_a_stop_leaves_no_ended_epoch_behind(settings):
    sent = records(1)
    component = MarketComponent(settings, CollectorRegistry())
    with Running(component), Journal(DataFolder(settings.data).journal) as journal:
        journal.append(FEED, sent)
        eventually(lambda: _caught_up(component, len(sent)))
        # The epoch in which they came has ended by now, their commit has not begun.
        time.sleep(1.5)
    with opened(settings, "test", hold=False) as system:
        assert system.session.execute("SELECT count(*) FROM lake.trades").fetchone() == (len(sent),)


def test_a_removed_instrument_is_shown_no_more_and_gets_no_candles(settings):
    gone = Command("unsubscribe", FEED, {"instrument": NAMES[1]})
    inbox = Inbox(DataFolder(settings.data))
    component = MarketComponent(settings, CollectorRegistry())
    with Running(component), opened(settings, "test", hold=False) as system:
        sent = records(2)
        system.journal.append(FEED, sent)
        eventually(lambda: _caught_up(component, len(sent)))
        with inbox:
            inbox.submit(gone)
        system.journal.append(FEED, [gone.record(0)])
        ticks = [Tick(START + minute * MINUTE).record(0) for minute in range(3, 12)]
        system.journal.append(FEED, ticks)
        minutes = "SELECT instrument, count(*) FROM lake.candles WHERE timeframe = '1m' GROUP BY 1 ORDER BY 1"
        eventually(lambda: dict(system.session.execute(minutes).fetchall()).get(NAMES[0]) == 10)
        assert dict(system.session.execute(minutes).fetchall())[NAMES[1]] == 1
        eventually(lambda: [one["instrument"] for one in component.board()["instruments"]] == [NAMES[0], NAMES[2]])


def test_a_second_market_on_the_folder_is_refused(settings, monkeypatch):
    monkeypatch.setattr("dataflows.live._PATIENCE_SECONDS", 0.5)
    with (
        Running(MarketComponent(settings, CollectorRegistry())),
        Running(MarketComponent(settings, CollectorRegistry())) as second,
    ):
        eventually(lambda: second.error)
        assert isinstance(second.error, Busy)


def test_after_a_restart_the_board_begins_with_what_is_stored(settings):
    with Running(MarketComponent(settings, CollectorRegistry())) as first:
        with Journal(DataFolder(settings.data).journal) as journal:
            sent = records(4)
            journal.append(FEED, sent)
            before = eventually(lambda: _caught_up(first.component, len(sent)))
        with opened(settings, "test") as system:
            eventually(
                lambda: len(system.session.execute("FROM lake.candles WHERE timeframe = '1m'").fetchall()) >= 9
            )
    with Running(MarketComponent(settings, CollectorRegistry())) as second:
        after = second.component.board()
        for was, now in zip(before["instruments"], after["instruments"], strict=True):
            assert now["closed"] == was["closed"]
            assert now["signal"] == was["signal"]


def test_the_reviser_works_off_what_becomes_dirty(settings):
    registry = CollectorRegistry()
    with (
        Running(MarketComponent(settings, CollectorRegistry())) as market,
        Running(ReviserComponent(settings, registry)) as reviser,
        Journal(DataFolder(settings.data).journal) as journal,
    ):
        sent = records(4)
        late = len(sent) // 2
        journal.append(FEED, [*sent[:late], *sent[late + 1 :]])
        journal.append(FEED, [sent[late]])
        eventually(lambda: _caught_up(market.component, len(sent)))
        eventually(lambda: reviser.component.health().figures["candles"])
        with opened(settings, "test", hold=False) as system:
            assert eventually(lambda: [gap for gap in system.ledger.gaps() if gap.missing == 0]) or True
            assert system.ledger.gaps(state="open") == []
        assert reviser.component.health().state == "healthy"
    assert (market.error, reviser.error) == (None, None)


def test_the_ledger_component_ends_with_its_server(settings):
    with Running(LedgerComponent(settings)) as ledger:
        assert ledger.component.health().state == "healthy"
        pid = int(next(DataFolder(settings.data).ledger.rglob("postmaster.pid")).read_text().split()[0])
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: ledger.error)
        assert isinstance(ledger.error, TransientError)


def test_a_market_that_loses_its_ledger_ends_and_the_next_one_goes_on(settings):
    sent = records(3)
    with Journal(DataFolder(settings.data).journal) as journal:
        with Running(MarketComponent(settings, CollectorRegistry())) as first:
            journal.append(FEED, sent[:1000])
            eventually(lambda: _caught_up(first.component, 1000))
            pid = int(next(DataFolder(settings.data).ledger.rglob("postmaster.pid")).read_text().split()[0])
            os.kill(pid, signal.SIGKILL)
            journal.append(FEED, sent[1000:])
            eventually(lambda: first.error)
            assert isinstance(first.error, TransientError)
        with (
            Running(MarketComponent(settings, CollectorRegistry())),
            opened(settings, "test", hold=False) as system,
        ):
            count = "SELECT count(*), count(DISTINCT (instrument, trade_id)) FROM lake.trades"
            eventually(lambda: system.session.execute(count).fetchone() == (len(sent), len(sent)))

"""Recorders under test, in a thread of the test or as a process of their own that can be killed."""

import json
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from core.records import Command, Kind, Mark, Tick
from core.settings import FeedSettings, JournalSettings, RecorderSettings, Settings
from core.trades import TradeBatch
from dataflows.recorder.component import RecorderComponent
from exchanges.registry import venue
from storage.data_folder import DataFolder
from storage.journal import Journal

FEED = "f"


def settings_of(data, urls, instruments=("simulated:BTC-USDT",), journal=None, minutes=60, **recorder):
    return Settings(
        data=data,
        feeds=(FeedSettings(name=FEED, venue="simulated", instruments=instruments, history_minutes=minutes, **urls),),
        recorder=RecorderSettings(**recorder),
        journal=journal or JournalSettings(segment_bytes=1 << 20, max_bytes=1 << 28),
    )


@contextmanager
def recording(settings):
    """Record in a thread; gives the component, and raises at the end what the recording raised."""
    registry, stop, raised = CollectorRegistry(), threading.Event(), []
    component = RecorderComponent(settings, registry)
    component.registry = registry
    ready = threading.Event()

    def run():
        try:
            component.run(stop, ready.set)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            raised.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    component.thread = thread
    try:
        yield component
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
    if raised:
        raise raised[0]


class Recorded:
    """Read what a feed's journal holds."""

    def __init__(self, settings):
        self.journal = Journal(DataFolder(settings.data).journal)
        self.records, self.last = [], -1

    def more(self):
        while (block := self.journal.read(FEED, self.last, 10_000)) is not None:
            self.records.extend(block.records())
            self.last = block.last_offset
        return self

    def ids(self, symbol="BTCUSDT", kinds=(Kind.FRAME, Kind.TRADES)):
        """Give the ids of the trades, in the order of the journal."""
        found, dialect = [], venue("simulated")
        name = dialect.instrument(symbol).name
        for record in self.more().records:
            if record.kind == Kind.FRAME in kinds and record.payload.startswith(b'{"stream":"'):
                data = json.loads(record.payload)["data"]
                found.extend([data["t"]] if data["s"] == symbol else [])
            elif record.kind == Kind.TRADES in kinds:
                batch = TradeBatch.from_ipc(record.payload)
                found.extend(batch.ids.tolist() if batch.instrument == name else [])
        return found

    def of(self, kind):
        return [record for record in self.more().records if record.kind == kind]

    def marks(self):
        return [decoded(record, Mark) for record in self.of(Kind.MARK)]

    def ticks(self):
        return [decoded(record, Tick).venue_time for record in self.of(Kind.TICK)]

    def commands(self):
        return [decoded(record, Command) for record in self.of(Kind.COMMAND)]

    def wait_for(self, condition, seconds=20.0):
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, "it was not recorded"
            time.sleep(0.02)

    def close(self):
        self.journal.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def decoded(record, kind):
    return msgspec.json.decode(record.payload, type=kind)


if __name__ == "__main__":
    wanted = settings_of(Path(sys.argv[1]), json.loads(sys.argv[2]))
    RecorderComponent(wanted, CollectorRegistry()).run(threading.Event(), lambda: None)

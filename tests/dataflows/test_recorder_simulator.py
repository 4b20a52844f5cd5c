"""The recorder and the simulated exchange, as `tidemill up` joins them."""

import json
import random
import socket
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import FEED, Recorded, recording, settings_of

from core.records import Quarantined, RecordBlock
from core.timeframes import MINUTE
from core.trades import TradeBatch
from dataflows.decode import Arrivals, Decoder
from dataflows.recorder import catch_up
from simulator.clock import MarketClock
from simulator.exchange import SimulatedExchange
from simulator.listing import LISTINGS
from simulator.server import serve
from simulator.tapes.invented import InventedTape

NAMES = tuple(listing.instrument.name for listing in LISTINGS[:3])


class Served:
    def __init__(self, folder):
        self.began = now = time.time_ns() // 1000
        self.tape = InventedTape.open(3, LISTINGS[:3], folder, now=now, history_hours=1, rate=1.0)
        self.exchange = SimulatedExchange(self.tape, MarketClock(3.0, now))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._stop, ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=serve, args=(self.exchange, [self._socket], ready.set, self._stop))
        self._thread.start()
        assert ready.wait(20)

    @property
    def urls(self):
        return {"websocket_url": f"ws://127.0.0.1:{self.port}", "rest_url": f"http://127.0.0.1:{self.port}"}

    def ask(self, what, **values):
        data = json.dumps(values).encode() if values or what != "state" else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/tidemill/{what}", data)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def stop(self):
        self._stop.set()
        self._thread.join(20)
        self.tape.close()


@pytest.fixture
def served(tmp_path):
    served = Served(tmp_path / "simulator")
    yield served
    served.stop()


def rows_of(recorded):
    """Give each instrument's trades as the dataflow reads them: ids, and of each id the first row."""
    decoder, known, found = Decoder({FEED: "simulated"}), None, {}
    known, decoded = decoder(known, RecordBlock.of(FEED, 0, recorded.more().records))
    for one in decoded:
        assert not isinstance(one, Quarantined)
        if isinstance(one, Arrivals) and one.trades is not None:
            found.setdefault(one.instrument, []).append(one.trades)
    return {name: TradeBatch.concat(batches) for name, batches in found.items()}


def test_what_was_traded_is_recorded_to_the_last_digit(tmp_path, served, monkeypatch):
    monkeypatch.setattr(catch_up, "PATIENCE_SECONDS", 0.3)
    rng = random.Random(1)
    settings = settings_of(tmp_path / "data", served.urls, NAMES, minutes=10)
    with recording(settings) as component, Recorded(settings) as recorded:
        recorded.wait_for(lambda r: component.health().figures.get(f"{FEED} connections"))
        for _ in range(4):
            time.sleep(rng.uniform(0.2, 1.2))
            served.ask("disconnect")
        recorded.wait_for(lambda r: component.health().figures.get(f"{FEED} connections"))
        last = served.ask("pause")["last_ids"]

        def complete(recorded):
            figures = component.health().figures
            return figures[f"{FEED} holes"] == 0 and all(
                last[name] in recorded.ids(name.removeprefix("simulated:").replace("-", "")) for name in NAMES
            )

        recorded.wait_for(complete)
        rows = rows_of(recorded)
        assert [mark.mark for mark in recorded.marks()].count("lost") >= 2
    for name in NAMES:
        _, first = np.unique(rows[name].ids, return_index=True)
        got = rows[name].take(np.sort(first)).take(np.argsort(rows[name].ids[np.sort(first)]))
        native = name.removeprefix("simulated:").replace("-", "")
        want = served.tape.from_id(native, int(got.ids[0]), len(got) + 10, served.exchange.clock.now() + 1)
        assert got.ids.tolist() == want.ids.tolist()
        for column in ("price", "size", "side"):
            assert (getattr(got, column) == getattr(want, column)).all()
        assert (got.ts == want.ts // 1000 * 1000).all()
        # The past comes before what is live.
        assert got.ts[0] <= served.began - 9 * MINUTE


def test_a_market_that_stands_still_lets_no_venue_time_pass(tmp_path, served, monkeypatch):
    monkeypatch.setattr("dataflows.recorder.ticks.TICK_SECONDS", 0.25)
    settings = settings_of(tmp_path / "data", served.urls, NAMES, minutes=10)
    with recording(settings), Recorded(settings) as recorded:
        recorded.wait_for(lambda r: len(r.ticks()) >= 1)
        stands_at = served.ask("pause")["now"]
        time.sleep(0.8)
        assert recorded.ticks()[-1] <= stands_at
        served.ask("resume")
        recorded.wait_for(lambda r: r.ticks()[-1] > stands_at)

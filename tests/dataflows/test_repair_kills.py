"""Repairs that are killed, that run at once, and a recorder that fills the same gap meanwhile: nothing twice."""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from gapped import holes_at, market, minutes_of, places, put, records_of, work_off
from rows import everything

from dataflows import refill
from dataflows.repair import repair
from dataflows.system import opened

PROCESS = Path(__file__).parent / "repair_process.py"


@pytest.fixture(scope="module")
def exchange():
    with market() as one:
        yield one


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with places(tmp_path_factory.mktemp("repair")) as made:
        yield made


@pytest.fixture
def place(server):
    return server.new()


def killed_at_work(settings, after):
    """Start a repair and kill it some time after it has begun; give whether it had ended before."""
    url = settings.ledger.url.get_secret_value()
    argv = [sys.executable, PROCESS, settings.data, settings.feeds[0].venue, settings.feeds[0].rest_url, url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        if line:
            time.sleep(after)
        ended = process.poll() is not None
        process.kill()
        _, said = process.communicate()
    assert line or process.returncode == 0, said
    return ended


def assert_whole(settings, exchange, venue):
    found, truth = everything(settings), exchange.truth(venue)
    assert [row[2] for row in found["trades"]] == sorted(truth.ids.tolist())
    assert {gap[1] for gap in found["gaps"]} == {"repaired"}
    assert len(found["coverage"]) == 1
    assert not found["dirty"]
    assert found["twice"] == [(0,)]
    stored, complete = minutes_of(settings, venue)
    assert {start: stored[start] for start in complete} == exchange.candles()


SOAK = pytest.mark.soak


@pytest.mark.parametrize(
    ("venue", "kills"),
    [("simulated", 2), pytest.param("simulated", 20, marks=SOAK), pytest.param("bitget", 20, marks=SOAK)],
)
def test_a_repair_that_is_killed_and_begun_again_stores_everything_once(place, exchange, venue, kills):
    settings, truth = exchange.settings(place, venue), exchange.truth(venue)
    put(settings, records_of(truth, holes_at(truth, (0.2, 0.4), (0.5, 0.75))))
    chance = random.Random(5)
    for number in range(kills):
        # Later and later: each goes on where the one before was cut off.
        if killed_at_work(settings, chance.uniform(0, 0.2 + 0.8 * number / kills)):
            break
    summary = repair(settings)
    assert summary.left == 0
    assert_whole(settings, exchange, venue)


@pytest.mark.parametrize("venue", ["bitget", pytest.param("simulated", marks=SOAK)])
def test_two_repairs_and_a_recorder_that_fill_the_same_gaps_at_once(place, exchange, venue, monkeypatch):
    settings, truth = exchange.settings(place, venue), exchange.truth(venue)
    holes = holes_at(truth, (0.2, 0.4), (0.5, 0.75))
    put(settings, records_of(truth, holes))
    monkeypatch.setattr(refill, "CHUNK", 150)
    # The recorder has what is missing in its journal, the dataflow has not read it yet.
    late = [record for low, high in holes for record in records_of(truth.take(slice(low, high)), ended=False)]
    put(settings, late, work=False)
    failed, ready = [], threading.Barrier(3)

    def run(work):
        try:
            ready.wait(60)
            work()
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)

    def read_on():
        with opened(settings, "flow", hold=False) as system:
            work_off(system, 100, 0.1)

    works = [read_on, lambda: repair(settings), lambda: repair(settings)]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    repair(settings)
    with opened(settings, "revise", hold=False) as system:
        system.revise()
    assert_whole(settings, exchange, venue)

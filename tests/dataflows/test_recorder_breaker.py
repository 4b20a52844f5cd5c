"""A host that fails is left alone, through restarts of the recorder, and everybody who looks is told."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import recording, settings_of
from scripted_venue import ScriptedVenue

from exchanges.budgets import breakers


def until(reached) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def told(component) -> bool:
    return "nothing is sent to simulated@127.0.0.1" in " ".join(component.health().why)


def gauge(component) -> list[float]:
    samples = [sample for metric in component.registry.collect() for sample in metric.samples]
    return [sample.value for sample in samples if sample.name == "tidemill_recorder_breaker"]


def test_an_exchange_whose_rest_fails_is_left_alone_and_that_is_told(tmp_path) -> None:
    with ScriptedVenue(("BTCUSDT",)) as venue:
        settings = settings_of(tmp_path / "data", venue.urls).model_copy(update={"limits": tmp_path / "shared"})
        with recording(settings) as component:
            venue.wait_for(lambda v: v.subscribed)
            until(lambda: component.health().state == "healthy")
            venue.rest_down, asked = True, len(venue.asked)
            until(lambda: told(component))
            assert component.health().state == "degraded", "the socket is up"
            until(lambda: gauge(component) == [2])
            assert len(venue.asked) <= asked + 7, "five in a row, and now and then a trial"
        (opened,) = breakers(tmp_path / "shared")
        assert (opened.state, "answered 503" in opened.why) == ("open", True)
        asked = len(venue.asked)
        with recording(settings) as component:
            until(lambda: told(component))
            assert len(venue.asked) <= asked + 2, "after a restart there are no more than trials, either"
            venue.rest_down = False
            until(lambda: gauge(component) == [0])
            assert not told(component)
        assert [one.state for one in breakers(tmp_path / "shared")] == ["closed"]

"""How far the venue's clock is from ours: found within its uncertainty, told only where it is sure."""

import asyncio
import contextlib
import json
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from core.errors import VenueError
from dataflows.recorder import ticks
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.clock_offset import Ask, measured
from dataflows.recorder.condition import MOST_OFFSET
from dataflows.recorder.metrics import RecorderMetrics
from dataflows.recorder.ticks import ASKS, VenueClock
from exchanges import history
from exchanges.registry import venue as venue_named
from exchanges.rest import Rest

SECOND = 1_000_000

_TRIPS = st.tuples(
    st.integers(0, 10**15), st.integers(0, 2 * SECOND), st.integers(0, 2 * SECOND), st.sampled_from([1000, SECOND])
)


@given(st.integers(-(10**9), 10**9), st.lists(_TRIPS, min_size=1, max_size=7))
def test_the_truth_lies_within_the_uncertainty(truth, trips) -> None:
    asks = []
    for at, out, back, step in trips:
        venue_time = at + out + truth
        asks.append(Ask(venue_time - venue_time % step, at, at + out + back, step))
    found = measured(asks)
    assert abs(found.micros - truth) <= found.uncertainty + 1
    assert found.surely <= abs(truth) + 1
    slowest = max(out + back + step for _, out, back, step in trips)
    assert found.uncertainty <= slowest // 2 + 1


def test_one_slow_answer_of_five_does_not_count() -> None:
    quick = [Ask(1_000_050, 1_000_000, 1_000_100, 0)] * 3
    slow = [Ask(1_000_000, 1_000_000, 3_000_000, 0), Ask(3_000_000, 1_000_000, 3_000_000, 0)]
    assert measured([slow[0], *quick, slow[1]]) == (0, 50)


class Answers:
    """Tell the time of an exchange whose clock is ``ahead`` s of ours, as it likes to tell it."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead, self.asked, self.refuse, self.silent_after = ahead, 0, b"", 10**9

    async def __call__(self, reader, writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            if self.asked > self.silent_after:
                await reader.read()
            now = time.time() + self.ahead
            status, body = b"200 OK", json.dumps({"serverTime": int(now * 1000)}).encode()
            if self.refuse:
                status, body = b"400 Bad", self.refuse
            date = formatdate(now, usegmt=True).encode()
            head = b"HTTP/1.1 %b\r\nDate: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            writer.write(head % (status, date, len(body)) + body)
            await writer.drain()
        writer.close()


@pytest.fixture
def clocked():
    """Run a test with the clock of a venue that tells its time so."""

    def run(name: str, answers: Answers, test) -> None:
        async def main() -> None:
            async with await asyncio.start_server(answers, "127.0.0.1", 0) as server:
                market = venue_named(name, rest_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
                rest, metrics = Rest(market), RecorderMetrics(CollectorRegistry()).of("f")
                wall = Wall()
                try:
                    await test(VenueClock(market, rest, SteadyClock(wall=wall), metrics), rest, market, wall)
                finally:
                    await rest.close()

        asyncio.run(main())

    return run


class Wall:
    """The machine's clock, which somebody may set."""

    def __init__(self) -> None:
        self.step = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self.step


@pytest.mark.parametrize(("name", "step"), [("binance", 0.001), ("upbit", 1.0)])
@pytest.mark.parametrize(("ahead", "alarm"), [(0.0, False), (-3.0, True), (3.0, True)])
def test_what_is_sure_is_told_whatever_the_steps_of_the_venues_clock(clocked, name, step, ahead, alarm) -> None:
    async def test(clock, rest, market, wall) -> None:
        assert clock.stale
        await clock.measure()
        assert not clock.stale
        assert abs(clock.offset.micros - ahead * SECOND) <= clock.offset.uncertainty
        assert clock.offset.uncertainty >= step / 2 * SECOND
        assert (clock.offset.surely > MOST_OFFSET) == alarm

    answers = Answers(ahead)
    clocked(name, answers, test)
    assert answers.asked == ASKS


def test_it_is_measured_again_where_a_clock_is_in_doubt(clocked) -> None:
    async def test(clock, rest, market, wall) -> None:
        await clock.measure()
        wall.step = -2 * SECOND
        assert clock.stale, "the machine's clock was set"
        await clock.measure()
        assert clock.offset.surely > MOST_OFFSET
        assert not clock.stale
        answers.refuse = b'{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}'
        with pytest.raises(VenueError):
            await history.time(rest, market)
        assert clock.stale, "the venue does not like our time"
        answers.refuse = b""
        await clock.measure()
        assert not clock.stale

    answers = Answers()
    clocked("binance", answers, test)


def test_a_venue_that_stops_answering_is_asked_again_soon(clocked, monkeypatch) -> None:
    monkeypatch.setattr(ticks, "TICK_SECONDS", 0.2)
    monkeypatch.setattr(ticks, "AGAIN_SECONDS", 0.1)

    async def test(clock, rest, market, wall) -> None:
        await clock.measure()
        assert clock.offset is not None
        assert answers.asked == 3
        await asyncio.sleep(0.2)
        assert clock.stale

    answers = Answers()
    answers.silent_after = 2
    clocked("binance", answers, test)

"""One budget for all processes of the machine, killed and restarted as often as one likes."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from core.errors import TransientError
from exchanges.attempts import Attempts
from exchanges.budgets import Budgets, Wish, breakers
from exchanges.dial import connect
from exchanges.registry import venue
from exchanges.rest import Rest
from exchanges.venue import Request

SENDS = """
import os, sys
from pathlib import Path
from exchanges.budgets import Budgets, Wish

budgets, wish = Budgets(Path(sys.argv[1])), Wish("rest", 1, int(sys.argv[2]), 3600.0)
print("ready", flush=True)
sys.stdin.read(1)
while budgets.admit("h", wish).wait == 0:
    os.write(1, b"x")
os.write(1, b".")
"""
MOST = 20_000


def started(folder, most=MOST) -> subprocess.Popen:
    command = [sys.executable, "-c", SENDS, str(folder), str(most)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    return child


def go(child: subprocess.Popen) -> None:
    child.stdin.write(b"\n")
    child.stdin.flush()


def ended(child: subprocess.Popen) -> tuple[int, bool]:
    """Give how much it sent, and whether it got to know that there is no more."""
    output = child.communicate(timeout=60)[0]
    return output.count(b"x"), output.endswith(b".")


def left(folder, most=MOST) -> int:
    budgets, count = Budgets(folder), 0
    while budgets.admit("h", Wish("rest", 1, most, 3600.0)).wait == 0:
        count += 1
    budgets.close()
    return count


def test_processes_at_once_take_exactly_what_there_is(tmp_path) -> None:
    children = [started(tmp_path, 6000) for _ in range(3)]
    for child in children:
        go(child)
    counts = [ended(child) for child in children]
    assert all(over for _, over in counts), "each of them got to know that there is no more"
    assert sum(sent for sent, _ in counts) == 6000
    assert sum(sent > 0 for sent, _ in counts) > 1


def test_what_a_killed_process_was_admitted_counts(tmp_path) -> None:
    """Whatever the moment of the kill: never more is sent than allowed, and at most one more counted than sent."""
    dice, sent, kills = random.Random(7), 0, 0
    for _ in range(6):
        child = started(tmp_path)
        go(child)
        time.sleep(dice.uniform(0, 0.02))
        os.kill(child.pid, signal.SIGKILL)
        some, over = ended(child)
        sent += some
        kills += not over
    assert kills, "some were killed in the midst of it"
    counted = MOST - left(tmp_path)
    assert sent <= counted <= sent + kills


ASKS_ONCE = """
import asyncio, sys
from pathlib import Path
from core.errors import TransientError
from exchanges.budgets import Budgets
from exchanges.registry import venue
from exchanges.rest import Rest

async def ask():
    market = venue("binance", rest_url=sys.argv[2])
    rest = Rest(market, budgets=Budgets(Path(sys.argv[1])))
    try:
        await rest.get(market.time_request())
    except TransientError as error:
        print(type(error).__name__)
    finally:
        await rest.close()

asyncio.run(ask())
"""


def test_a_ban_outlives_the_process_that_met_it(tmp_path, raw_server) -> None:
    asked = []

    async def ban(head, reader, writer) -> None:
        asked.append(head)
        writer.write(b"HTTP/1.1 418 Teapot\r\nRetry-After: 300\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def run() -> list[bytes]:
        said = []
        async with raw_server(ban) as port:
            for _ in range(3):
                address = f"http://127.0.0.1:{port}"
                child = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", ASKS_ONCE, str(tmp_path), address, stdout=subprocess.PIPE
                )
                said.append((await child.communicate())[0].strip())
        return said

    assert asyncio.run(run()) == [b"Throttled"] * 3
    assert len(asked) == 1
    (banned,) = breakers(tmp_path)
    assert (banned.state, banned.why) == ("open", "it answered 418")


def test_a_hundred_restarts_stay_within_the_attempts_of_the_window(tmp_path, raw_server) -> None:
    """Each run crashes after a few attempts; the venue allows 300 in five minutes."""
    asked = []
    limits = venue("binance").limits
    assert (limits.attempts, limits.attempts_per) == (300, 300)

    async def drop(head, reader, writer) -> None:
        asked.append(head)

    async def one_run(port: int) -> int:
        attempts, made = Attempts(limits, "h", budgets=Budgets(tmp_path), base=0.0), 0
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1 if len(asked) >= 300 else 20):
                for failures in range(4):
                    await attempts.permission(failures)
                    made += 1
                    try:
                        await connect(f"ws://127.0.0.1:{port}/x", limits, lambda: None, 5.0)
                    except TransientError as error:
                        attempts.failed(error)
        return made

    async def run() -> list[int]:
        async with raw_server(drop) as port:
            return [await one_run(port) for _ in range(100)]

    made = asyncio.run(run())
    assert made == [4] * 75 + [0] * 25
    assert len(asked) == 300


def test_a_hundred_restarts_send_a_failing_host_no_more_than_one_process_would(tmp_path, raw_server) -> None:
    asked = []

    async def fail(head, reader, writer) -> None:
        asked.append(head)
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def run() -> None:
        async with raw_server(fail) as port:
            for _ in range(100):
                budgets = Budgets(tmp_path, wall=lambda: 10**15, passing=lambda: 10**12)
                rest = Rest(venue("binance", rest_url=f"http://127.0.0.1:{port}"), budgets=budgets)
                with pytest.raises(TransientError):
                    await rest.get(Request("/x", {}, 1))
                await rest.close()

    asyncio.run(run())
    assert len(asked) == 5


def test_several_venues_of_one_host_share_its_budget(tmp_path, raw_server) -> None:
    sent = []

    async def answer(head, reader, writer) -> None:
        sent.append(asyncio.get_running_loop().time())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    async def run() -> None:
        async with raw_server(answer) as port:
            market = venue("binance", rest_url=f"http://127.0.0.1:{port}")
            market = replace(market, budget=replace(market.budget, weight=3, seconds=2.0))
            rests = [Rest(market, budgets=Budgets(tmp_path)) for _ in range(3)]
            await asyncio.gather(*(rest.get(Request("/x", {}, 1)) for rest in rests * 2))
            for rest in rests:
                await rest.close()

    asyncio.run(run())
    assert len(sent) == 6
    # Half the window: the machine may delay one request more than the next.
    assert sent[3] - sent[2] > 0.5

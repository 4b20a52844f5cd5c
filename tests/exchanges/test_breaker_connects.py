"""Handshakes that are refused: nobody on the machine tries while the venue wants no attempts."""

import asyncio
import contextlib

import pytest

from core.errors import TransientError
from exchanges.attempts import Attempts
from exchanges.budgets import Budgets, breakers
from exchanges.handshake import HandshakeRefused, refusal
from exchanges.registry import venue
from exchanges.rest import Rest, Throttled

LIMITS = venue("binance").limits
HOST = "stream.example"


@pytest.mark.parametrize(
    ("head", "status", "seconds"),
    [
        (b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\n\r\n", 429, 7.0),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", 403, None),
        (b"HTTP/1.1 503 Busy\r\nretry-after: soon\r\n\r\n", 503, None),
        (b"SSH-2.0\r\n\r\n", 0, None),
    ],
)
def test_what_a_refused_handshake_says(head, status, seconds) -> None:
    refused = refusal(head)
    assert isinstance(refused, HandshakeRefused)
    assert (refused.status, refused.retry_after) == (status, seconds)


async def permitted(attempts: Attempts, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(attempts.permission(0), seconds)
        return True
    return False


def test_a_ban_holds_every_process_and_one_of_them_tries(tmp_path) -> None:
    now = [1_700_000_000_000_000]

    def attempts() -> Attempts:
        return Attempts(LIMITS, HOST, budgets=Budgets(tmp_path, wall=lambda: now[0], passing=lambda: now[0]))

    async def run() -> None:
        first, second = attempts(), attempts()
        await first.permission(0)
        first.failed(HandshakeRefused("the handshake was answered with HTTP 418", 418))
        assert not await permitted(first, 0.2)
        assert not await permitted(second, 0.2)
        now[0] += 120_000_000
        assert await permitted(second, 5.0)
        assert not await permitted(first, 0.2), "the other one is trying"
        second.failed(HandshakeRefused("the handshake was answered with HTTP 418", 418))
        assert not await permitted(second, 0.2)
        now[0] += 120_000_000
        assert not await permitted(first, 0.2), "it has grown"
        now[0] += 120_000_000
        assert await permitted(first, 5.0)
        first.succeeded()
        assert await permitted(first, 5.0)
        assert await permitted(second, 5.0)

    asyncio.run(run())
    assert breakers(tmp_path)[0].state == "closed"


def test_a_network_that_is_down_is_waited_for_by_the_back_off_alone() -> None:
    async def run() -> None:
        attempts = Attempts(LIMITS, HOST, base=0.0)
        for failures in range(20):
            await attempts.permission(failures)
            attempts.failed(TransientError("no route"))
        attempts.failed(HandshakeRefused("the handshake was answered with HTTP 502", 502))
        assert await permitted(attempts, 5.0)

    asyncio.run(run())


def test_a_ban_of_the_host_holds_requests_and_attempts_alike(tmp_path) -> None:
    async def run() -> None:
        market = venue("binance", rest_url="https://one.example", websocket_url="wss://one.example/ws")
        attempts = Attempts(market.limits, "one.example", budgets=Budgets(tmp_path))
        attempts.failed(HandshakeRefused("the handshake was answered with HTTP 429", 429, 60.0))
        assert not await permitted(attempts, 0.2)
        rest = Rest(market, budgets=Budgets(tmp_path))
        with pytest.raises(Throttled, match="answered 429"):
            await rest.get(market.time_request())
        await rest.close()

    asyncio.run(run())


def test_a_folder_that_cannot_be_written_is_waited_for(tmp_path) -> None:
    (tmp_path / "limits").write_text("a file")

    async def run() -> None:
        attempts = Attempts(LIMITS, HOST, budgets=Budgets(tmp_path / "limits"))
        waiting = asyncio.create_task(attempts.permission(0))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        (tmp_path / "limits").unlink()
        await asyncio.wait_for(waiting, 20)

    asyncio.run(run())

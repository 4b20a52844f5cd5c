"""The breaker between us and a host that fails or bans: what is sent, what is raised, who gets to try."""

import asyncio

import pytest

from core.errors import TransientError, VenueError
from exchanges import breaker as circuit
from exchanges.budgets import Budgets
from exchanges.refusal import VenueRefusal, refusal
from exchanges.registry import venue
from exchanges.rest import Held, Rest, Throttled
from exchanges.venue import Request

ASK = Request("/x", {}, 1)
SECOND = 1_000_000


def http(status: str, body: bytes = b"{}", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """Gives the answer that is set, and counts; ``gate`` holds answers back."""

    def __init__(self) -> None:
        self.answer, self.asked, self.gate = http("200 OK"), 0, asyncio.Event()
        self.gate.set()

    async def __call__(self, head, reader, writer) -> None:
        self.asked += 1
        await self.gate.wait()
        writer.write(self.answer)


class Clocks:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def budgets(self, folder=None) -> Budgets:
        return Budgets(folder, wall=lambda: self.now, passing=lambda: self.now)


@pytest.fixture
def served(raw_server):
    """Run a test against a server, with the REST of one budget and clocks that the test sets."""

    def run(test, folder=None, timeout: float = 5.0) -> None:
        async def main() -> None:
            server, clocks = Server(), Clocks()
            async with raw_server(server) as port:
                market = venue("binance", rest_url=f"http://127.0.0.1:{port}")
                rest = Rest(market, budgets=clocks.budgets(folder), timeout=timeout)
                try:
                    await test(server, clocks, rest, market)
                finally:
                    server.gate.set()
                    await rest.close()

        asyncio.run(main())

    return run


async def failing(rest: Rest, times: int) -> list[type[BaseException]]:
    found = []
    for _ in range(times):
        with pytest.raises(TransientError) as caught:
            await rest.get(ASK)
        found.append(caught.type)
    return found


@pytest.mark.parametrize(
    "answer",
    [http("503 Busy"), http("200 OK", b"<html>Log in</html>"), http("302 Found", b"", "Location: http://a.example/")],
)
def test_a_host_that_fails_again_and_again_is_left_alone(served, tmp_path, answer) -> None:
    async def test(server, clocks, rest, market) -> None:
        server.answer = answer
        assert await failing(rest, 7) == [TransientError] * 5 + [Held] * 2
        with pytest.raises(Held, match=r"127.0.0.1:\d+ is left alone for 5 s: .*answered") as held:
            await Rest(market, budgets=clocks.budgets(tmp_path)).get(ASK)
        assert held.value.retry_after == 5
        assert server.asked == 5

    served(test, tmp_path)


def test_one_request_of_all_that_wait_tries_and_its_success_is_everybodys(served, tmp_path) -> None:
    async def test(server, clocks, rest, market) -> None:
        server.answer = http("503 Busy")
        await failing(rest, 5)
        clocks.now += circuit.TRIP
        server.answer = http("200 OK")
        server.gate.clear()
        other = Rest(market, budgets=clocks.budgets(tmp_path))
        asking = [asyncio.create_task(one.get(ASK)) for one in (rest, other, rest, other)]
        done, trying = await asyncio.wait(asking, return_when=asyncio.ALL_COMPLETED, timeout=0.5)
        assert [type(task.exception()) for task in done] == [Held] * 3
        assert server.asked == 6
        server.gate.set()
        assert [await task for task in trying] == [b"{}"]
        assert await asyncio.gather(rest.get(ASK), other.get(ASK)) == [b"{}"] * 2
        await other.close()

    served(test, tmp_path)


def test_a_trial_goes_on_though_nobody_waits_for_it_any_more(served) -> None:
    async def test(server, clocks, rest, market) -> None:
        server.answer = http("503 Busy")
        await failing(rest, 5)
        clocks.now += circuit.TRIP
        server.answer = http("200 OK")
        server.gate.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rest.get(ASK), 0.2)
        server.gate.set()
        async with asyncio.timeout(10):
            while (await asyncio.to_thread(rest._budgets.breakers))[0].state != "closed":
                await asyncio.sleep(0.01)
        assert await rest.get(ASK) == b"{}"

    served(test)


def test_a_trial_that_fails_makes_it_longer(served) -> None:
    async def test(server, clocks, rest, market) -> None:
        server.answer = http("503 Busy")
        await failing(rest, 5)
        clocks.now += circuit.TRIP
        assert await failing(rest, 2) == [TransientError, Held]
        clocks.now += circuit.TRIP
        assert await failing(rest, 1) == [Held]
        clocks.now += circuit.TRIP
        assert await failing(rest, 1) == [TransientError]
        assert server.asked == 7

    served(test)


@pytest.mark.parametrize("status", ["418 Teapot", "403 Forbidden", "429 Too Many"])
def test_a_ban_without_a_time_grows_while_it_is_repeated(served, tmp_path, status) -> None:
    async def test(server, clocks, rest, market) -> None:
        server.answer, code = http(status, b"<html>"), int(status[:3])
        pauses = []
        for asked in range(1, 5):
            with pytest.raises(Throttled) as caught:
                await rest.get(ASK)
            assert (caught.value.status, server.asked) == (code, asked)
            pauses.append(caught.value.retry_after)
            clocks.now += int(pauses[-1] * SECOND) - 1
            again = Rest(market, budgets=clocks.budgets(tmp_path))
            with pytest.raises(Throttled):
                await again.get(ASK)
            clocks.now += 1
        first = circuit.BANS[code] / SECOND
        assert pauses == [first, 2 * first, 4 * first, 8 * first]

    served(test, tmp_path)


def test_what_the_venue_refuses_is_no_failure_of_the_host(served) -> None:
    async def test(server, clocks, rest, market) -> None:
        for _ in range(3):
            server.answer = http("503 Busy")
            await failing(rest, 4)
            server.answer = http("400 Bad", b'{"code":-1021,"msg":"Timestamp outside of recvWindow."}')
            with pytest.raises(VenueRefusal) as caught:
                await rest.get(ASK)
            assert caught.value.of_clocks
        assert rest.clock_doubts == 3

    served(test)


def test_a_venue_that_limits_with_200_limits_all_the_same(served) -> None:
    async def test(server, clocks, rest, market) -> None:
        server.answer = http("200 OK", b'{"retCode":10006,"retMsg":"Too many visits!","result":{}}', "Retry-After: 3")
        with pytest.raises(Throttled) as caught:
            await rest.get(ASK)
        assert (caught.value.status, caught.value.retry_after) == (429, 3)
        assert await failing(rest, 1) == [Throttled]
        assert server.asked == 1

    served(test)


def test_a_header_is_the_answer_where_it_is_asked_for(served) -> None:
    async def test(server, clocks, rest, market) -> None:
        ask = Request("/x", {}, 1, header="date")
        server.answer = http("200 OK", b"[]", "DATE: Wed, 21 Oct 2026 07:28:00 GMT")
        assert await rest.get(ask) == b"Wed, 21 Oct 2026 07:28:00 GMT"
        server.answer = http("200 OK", b"[]")
        with pytest.raises(TransientError, match="no header 'date'"):
            await rest.get(ask)
        server.answer = http("200 OK", b"<html>Log in</html>", "Date: Wed, 21 Oct 2026 07:28:00 GMT")
        with pytest.raises(TransientError, match="login page"):
            await rest.get(ask)

    served(test)


@pytest.mark.parametrize(
    ("body", "code", "kind"),
    [
        (b'{"code":-1121,"msg":"Invalid symbol."}', "-1121", VenueRefusal),
        (b'{"code":"51001","data":[],"msg":"Instrument ID does not exist"}', "51001", VenueRefusal),
        (b'{"code":"40034","msg":"Parameter does not exist","requestTime":1,"data":null}', "40034", VenueRefusal),
        (b'{"retCode":10001,"retMsg":"params error","result":{},"time":1}', "10001", VenueRefusal),
        (b'{"jsonrpc":"2.0","error":{"message":"Invalid params","data":{},"code":-32602}}', "-32602", VenueRefusal),
        (b'{"error":{"name":404,"message":"Code not found"}}', "404", VenueRefusal),
        (b'{"code":"50013","msg":"Systems are busy"}', "50013", TransientError),
        (b'{"code":"50011","msg":"Too Many Requests"}', "50011", Throttled),
        (b'{"error":{"code":10028,"message":"too_many_requests"}}', "10028", Throttled),
    ],
)
def test_refusals_of_all_venues_are_known_whatever_their_status(served, body, code, kind) -> None:
    async def test(server, clocks, rest, market) -> None:
        for status in ("200 OK", "400 Bad"):
            server.answer = http(status, body)
            with pytest.raises((TransientError, VenueError)) as caught:
                await rest.get(ASK)
            assert caught.type is kind
            if kind is VenueRefusal:
                assert caught.value.code == code
            clocks.now += 3600 * SECOND

    served(test)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"code":"0","msg":"","data":[]}',
        b'{"code":"00000","msg":"success","data":[]}',
        b'{"retCode":0,"retMsg":"OK","result":{}}',
        b'{"jsonrpc":"2.0","result":1,"usIn":1}',
        b'{"error":null,"serverTime":1}',
        b'{"code":7}',
        b'{"code":[1],"msg":{}}',
        b"[" * 100_000,
        b"\xff{",
        b'{"code":-1,"msg":"' + b"x" * 70_000 + b'"}',
    ],
)
def test_what_is_no_refusal_is_not_taken_for_one(body) -> None:
    assert refusal(body) is None

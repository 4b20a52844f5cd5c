"""Whatever a server answers by REST: the body, or one of our own errors, in one line."""

import asyncio
import gzip
import zlib
from dataclasses import replace

import httpx
import pytest

from core.errors import TransientError, UserError, VenueError
from exchanges.refusal import VenueRefusal
from exchanges.registry import venue
from exchanges.rest import MAX_BODY, Rest, Throttled
from exchanges.venue import Budget, Request

TIME = Request("/api/v3/time", {"symbol": "BTCUSDT", "limit": 5}, 1)


def http(status: str, *headers: str, body: bytes = b"{}", length: int | None = None) -> bytes:
    size = f"Content-Length: {len(body) if length is None else length}"
    return "\r\n".join([f"HTTP/1.1 {status}", size, "Connection: close", *headers, "", ""]).encode() + body


@pytest.fixture
def ask(raw_server):
    """Ask a server that gives these answers in turn; gives the results or errors, and what was asked when."""

    def run(*answers, requests: int = 1, timeout: float = 5.0, pause: float = 0.0):
        heads: list[tuple[float, bytes]] = []

        def handler(answer):
            async def handle(head, reader, writer) -> None:
                heads.append((asyncio.get_running_loop().time(), head))
                if callable(answer):
                    await answer(writer)
                else:
                    writer.write(answer)
                    await writer.drain()

            return handle

        async def talk():
            results = []
            async with raw_server(*map(handler, answers)) as port:
                market = venue("binance", rest_url=f"http://127.0.0.1:{port}")
                rest = Rest(market, timeout=timeout)
                for _ in range(requests):
                    try:
                        results.append(await rest.get(TIME))
                    except (TransientError, VenueError) as error:
                        results.append(error)
                    await asyncio.sleep(pause)
                await rest.close()
            return results, heads

        return asyncio.run(talk())

    return run


def test_what_is_asked_and_what_is_answered(ask) -> None:
    body = b' {"serverTime":1}'
    results, heads = ask(
        http("200 OK", body=body), http("200 OK", "Content-Encoding: gzip", body=gzip.compress(body))
    )
    assert results == [body]
    assert heads[0][1].startswith(b"GET /api/v3/time?symbol=BTCUSDT&limit=5 HTTP/1.1\r\n")
    (packed,), _ = ask(http("200 OK", "Content-Encoding: gzip", body=gzip.compress(body)))
    assert packed == body


CUT = gzip.compress(b"{}", mtime=0)[:-9]
BOMB = gzip.compress(bytes(MAX_BODY + 1), mtime=0)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (http("200 OK", body=b"<html>Log in</html>"), TransientError, "something else than JSON"),
        (http("200 OK", body=b""), TransientError, "something else than JSON"),
        (http("200 OK", body=b'{"a":1', length=100), TransientError, ""),
        (http("302 Found", "Location: http://elsewhere.example/"), TransientError, "answered 302"),
        (http("308 Moved", "Location: /api/v3/other"), TransientError, "answered 308"),
        (http("500 Oops", body=b'{"code":-1000,"msg":"unknown"}'), TransientError, "answered 500"),
        (http("502 Bad", body=b"<html>"), TransientError, "answered 502"),
        (http("204 No Content", body=b""), TransientError, "answered 204"),
        (
            http("400 Bad", body=b'{"code":-1121,"msg":"Invalid\\nsymbol."}'),
            VenueRefusal,
            "400: -1121: Invalid symbol.",
        ),
        (http("404 Not Found", body=b"<html>"), VenueError, "404: no words"),
        (http("403 Forbidden", body=b'{"code":-2,"msg":"no"}'), VenueRefusal, "403: -2: no"),
        (http("400 Bad", body=b'{"code":"x","msg":[]}'), VenueError, "400: no words"),
        (http("200 OK", "Content-Encoding: gzip", body=b"not packed"), TransientError, ""),
        (http("200 OK", "Content-Encoding: gzip", body=CUT), TransientError, "too early"),
        (http("200 OK", "Content-Encoding: gzip", body=BOMB), TransientError, "longer than 32 MiB"),
        (http("200 OK", "Content-Encoding: br", body=b"{}"), TransientError, "'br'"),
        (http("200 OK", body=b"{}" + b" " * MAX_BODY), TransientError, "longer than 32 MiB"),
        (b"SSH-2.0-x\r\n\r\n", TransientError, ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", TransientError, ""),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000, TransientError, ""),
        (b"", TransientError, ""),
    ],
)
def test_everything_else_is_a_typed_error(ask, answer, error, words) -> None:
    (result,), _ = ask(answer)
    assert type(result) is error
    assert words in str(result)
    assert "\n" not in str(result)
    assert len(str(result)) < 400


def test_the_body_of_a_bomb_is_never_held() -> None:
    assert len(BOMB) < 64 * 1024 < len(zlib.decompress(BOMB, 31))


@pytest.mark.parametrize("parts", [[], [http("200 OK", length=9, body=b"")], [b"HTTP/1.1 200 OK\r\n"]])
def test_a_slow_answer_is_given_up(ask, parts) -> None:
    async def drip(writer) -> None:
        for part in parts:
            writer.write(part)
        for _ in range(100):
            await asyncio.sleep(0.05)
            writer.write(b" " if parts else b"")
            await writer.drain()

    (result,), _ = ask(drip, timeout=0.3)
    assert type(result) is TransientError
    assert "longer than 0.3 s" in str(result)


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        ("429 Too Many", "Retry-After: 7", 7),
        ("418 Teapot", "Retry-After: 99999999", 3 * 86_400),
        ("418 Teapot", "X: y", 120),
        ("429 Too Many", "Retry-After: soon", 60),
        ("429 Too Many", "Retry-After: -5", 60),
        ("429 Too Many", "Retry-After: 0", 1),
        ("429 Too Many", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 1),
        ("403 Forbidden", "Retry-After: 30", 30),
    ],
)
def test_nothing_is_sent_while_the_venue_wants_no_requests(ask, status, header, seconds) -> None:
    results, heads = ask(http(status, header, body=b"<html>"), http("200 OK"), requests=4)
    assert [type(result) for result in results] == [Throttled] * 4
    assert results[0].retry_after == seconds
    assert all(0 < result.retry_after <= seconds for result in results)
    assert len(heads) == 1


def test_after_that_it_goes_on(ask) -> None:
    results, heads = ask(http("429 Too Many", "Retry-After: 1"), http("200 OK"), requests=3, pause=0.7)
    assert [type(result) for result in results] == [Throttled, Throttled, bytes]
    assert len(heads) == 2


def test_the_budget_of_weights_is_kept(raw_server) -> None:
    sent: list[float] = []

    async def note(request: httpx.Request) -> None:
        sent.append(asyncio.get_running_loop().time())

    async def answer(head, reader, writer) -> None:
        writer.write(http("200 OK"))

    async def run() -> None:
        async with (
            raw_server(answer) as port,
            httpx.AsyncClient(trust_env=False, event_hooks={"request": [note]}) as client,
        ):
            market = replace(venue("binance", rest_url=f"http://127.0.0.1:{port}"), budget=Budget(6, 0.4))
            rest = Rest(market, client=client)
            await asyncio.gather(*(rest.get(replace(TIME, weight=weight)) for weight in (2, 2, 2, 1, 5, 99, 6, 3, 3)))

    asyncio.run(run())
    heavy = list(zip(sent, (2, 2, 2, 1, 5, 6, 6, 3, 3), strict=True))
    # Half the window: the machine may delay one request more than the next.
    assert all(sum(w for at, w in heavy if 0 <= at - start < 0.2) <= 6 for start, _ in heavy)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://nowhere.invalid", f"http://{'a' * 70}.invalid"])
def test_a_host_that_is_not_there_is_transient(url) -> None:
    async def run() -> None:
        rest = Rest(venue("binance", rest_url=url))
        with pytest.raises(TransientError):
            await rest.get(TIME)
        await rest.close()

    asyncio.run(run())


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1:80", "http://:80", "http://a:99999"])
def test_an_address_that_is_none_is_refused(url) -> None:
    async def run() -> None:
        with pytest.raises(UserError, match="write http"):
            Rest(venue("binance", rest_url=url))

    asyncio.run(run())


def test_a_client_of_the_callers_stays_open() -> None:
    async def run() -> None:
        async with httpx.AsyncClient() as client:
            rest = Rest(venue("binance", rest_url="http://127.0.0.1:1"), client=client)
            await rest.close()
            assert not client.is_closed

    asyncio.run(run())

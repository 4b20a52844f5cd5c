"""Everything a server or a network does wrong once: the link says what, comes back, and hands on what it got."""

import asyncio
import socket
import struct

import pytest

from exchanges.venue import Heartbeat

ACK = b'{"result":null,"id":1}'
HTML = b"<html><body>Please log in</body></html>"


def text(payload: bytes) -> bytes:
    size = len(payload)
    return b"\x81" + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")) + payload


def http(status: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


async def accept(head, reader, writer, handshake, reply: bytes = ACK) -> None:
    """Shake hands, read the subscription (it is short: one frame, masked) and answer it."""
    writer.write(handshake(head))
    size = (await reader.readexactly(2))[1] & 0x7F
    await reader.readexactly(4 + size)
    writer.write(text(reply))


@pytest.fixture
def good(handshake, numbered):
    async def serve(head, reader, writer) -> None:
        await accept(head, reader, writer, handshake)
        writer.write(text(numbered(7)))
        await reader.read(100)

    return serve


def comes_back(raw_server, linked, sink, bad, good, numbered, **options) -> None:
    async def run() -> None:
        async with raw_server(bad, good) as port, linked(port, sink, **options) as link:
            await sink.until(lambda: numbered(7) in sink.frames)
            assert link.health().state == "live"
            assert link.health().attempts == 2
        assert link.health().state == "stopped"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (http("403 Forbidden", "Content-Type: text/html", "Retry-After: 1", body=HTML), "HTTP 403"),
        (http("429 Too Many Requests", "retry-after:1"), "HTTP 429"),
        (http("200 OK", body=HTML), "HTTP 200"),
        (http("302 Found", "Location: http://login.example/"), "HTTP 302"),
        (http("503 Service Unavailable"), "HTTP 503"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "no HTTP"),
        (
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
            "failed",
        ),
        (b"HTTP/1.1 101 x\r\nX: " + b"y" * 70_000, "does not end"),
        (b"HTTP/1.1 429 Too", "lost_connection"),
        (b"", "lost_connection"),
    ],
)
def test_a_refused_handshake_is_tried_again(raw_server, linked, sink_type, good, numbered, answer, cause) -> None:
    sink, causes = sink_type(), []

    async def refuse(head, reader, writer) -> None:
        writer.write(answer)

    async def run() -> None:
        async with raw_server(refuse, good) as port, linked(port, sink) as link:
            async with asyncio.timeout(10):
                while link.health().failures == 0:
                    await asyncio.sleep(0.005)
            causes.append(link.health().cause)
            began = asyncio.get_running_loop().time()
            await sink.until(lambda: numbered(7) in sink.frames)
            held = asyncio.get_running_loop().time() - began
            assert "etry" not in answer.decode("latin-1") or held > 0.9

    asyncio.run(run())
    assert cause in causes[0]
    assert sink.marks() == ["connected", "lost"]
    assert sink.causes() == ["stopped"]


def test_a_venue_that_is_not_there_is_waited_for(raw_server, linked, sink_type, good, numbered) -> None:
    sink = sink_type()

    async def run() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        async with linked(port, sink) as link:
            async with asyncio.timeout(10):
                while link.health().failures < 3:
                    await asyncio.sleep(0.01)
            assert sink.events == []
            async with raw_server(good, port=port):
                await sink.until(lambda: numbered(7) in sink.frames)

    asyncio.run(run())


def reset(writer) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (b"", "without a goodbye (1006)"),
        (b"RESET", "lost_connection"),
        (text(b"x" * 200)[:90], "without a goodbye (1006)"),
        (b"\x88\x02\x03\xe9", "closed_by_venue: 1001"),
        (b"\x88\x0d" + struct.pack("!H", 1012) + b"restart\nnow", "closed_by_venue: 1012 restart now"),
        (b"\x81\x7f" + (17 << 20).to_bytes(8, "big"), "protocol_error: 1009"),
        (text(b'{"error":{"code":2,"msg":"Invalid\\nrequest"},"id":1}'), "refused: 2: Invalid request"),
    ],
)
def test_a_connection_that_breaks_is_opened_again(
    raw_server, linked, sink_type, good, handshake, numbered, sent, cause
) -> None:
    sink = sink_type()

    async def bad(head, reader, writer) -> None:
        await accept(head, reader, writer, handshake)
        writer.write(text(numbered(1)))
        if sent == b"RESET":
            await writer.drain()
            await sink.until(lambda: numbered(1) in sink.frames)
            reset(writer)
            return
        writer.write(sent)
        if "refused" in cause:
            await reader.read(100)

    comes_back(raw_server, linked, sink, bad, good, numbered)
    assert sink.marks() == ["connected", "lost", "connected", "lost"]
    assert cause in sink.causes()[0]
    assert "\n" not in "".join(sink.causes())
    assert [frame for frame in sink.frames if b'"t":' in frame] == [
        numbered(1),
        numbered(7),
    ]


PINGED = b"\x89\x04beat"


@pytest.mark.parametrize(
    ("before", "beats", "cause"),
    [
        ([], [], "silence: no data after subscribing"),
        ([], [PINGED], "silence: no data after subscribing"),
        ([], [text(b'{"result":null,"id":2}'), text(b"not json"), PINGED], "silence: no data after subscribing"),
        ([1], [], "silence: no data for"),
        ([1], [PINGED], "silence: no data for"),
        ([1], [text(b'{"result":null,"id":2}'), text(b"garbage")], "silence: no data for"),
    ],
)
def test_silence_is_judged_by_data_alone(
    raw_server, linked, sink_type, good, handshake, numbered, before, beats, cause
) -> None:
    sink = sink_type()

    async def bad(head, reader, writer) -> None:
        await accept(head, reader, writer, handshake)
        for number in before:
            writer.write(text(numbered(number)))
        while True:
            writer.write(b"".join(beats))
            await asyncio.sleep(0.02)
            if writer.is_closing():
                return

    comes_back(raw_server, linked, sink, bad, good, numbered, watch=(0.3, 0.3, 0.1))
    assert sink.marks()[:3] == ["connected", "doubtful", "lost"]
    assert sink.events[1] == ("doubtful", "btcusdt@trade")
    assert cause in sink.causes()[0]


def test_what_is_only_quiet_is_waited_for(raw_server, linked, sink_type, handshake, numbered) -> None:
    sink = sink_type(quiet=True)

    async def quiet(head, reader, writer) -> None:
        await accept(head, reader, writer, handshake)
        await sink.until(lambda: len(sink.events) >= 4)
        writer.write(text(numbered(7)))
        await reader.read(100)

    async def run() -> None:
        async with raw_server(quiet) as port, linked(port, sink, watch=(0.05, 5.0, 1.0)) as link:
            await sink.until(lambda: numbered(7) in sink.frames)
            assert link.health().attempts == 1

    asyncio.run(run())
    assert set(sink.marks()[1:-1]) == {"doubtful"}


@pytest.mark.parametrize("by", ["server", "client"])
def test_a_dead_peer_is_left_though_the_market_may_be_quiet(
    raw_server, linked, sink_type, good, handshake, numbered, by
) -> None:
    sink = sink_type(quiet=True)

    async def half_open(head, reader, writer) -> None:
        await accept(head, reader, writer, handshake)
        await asyncio.sleep(20)

    heartbeat = Heartbeat(by, interval=0.1, timeout=0.3)
    comes_back(raw_server, linked, sink, half_open, good, numbered, watch=(0.1, 0.1, 1), heartbeat=heartbeat)
    assert "no sign of life" in sink.causes()[0]


def test_bytes_that_drip_are_put_together(raw_server, linked, sink_type, handshake, numbered) -> None:
    sink = sink_type()

    async def drip(head, reader, writer) -> None:
        await accept(head, reader, writer, handshake)
        for byte in text(numbered(1)) + text(numbered(2)):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.0005)
        await reader.read(100)

    async def run() -> None:
        async with raw_server(drip) as port, linked(port, sink):
            await sink.until(lambda: len(sink.frames) == 3)

    asyncio.run(run())
    assert sink.frames == [ACK, numbered(1), numbered(2)]


def test_garbage_is_handed_on_as_it_is(raw_server, linked, sink_type, handshake, numbered) -> None:
    sink = sink_type()
    garbage = [b"\xff\xfe", b"", b"[" * 5000, b'{"e":"trade"}', b'{"stream":"btcusdt@trade","data":null}']

    async def serve(head, reader, writer) -> None:
        await accept(head, reader, writer, handshake)
        writer.write(b"".join(text(frame) for frame in [*garbage, numbered(7)]))
        await reader.read(100)

    async def run() -> None:
        async with raw_server(serve) as port, linked(port, sink):
            await sink.until(lambda: numbered(7) in sink.frames)

    asyncio.run(run())
    assert sink.frames == [ACK, *garbage, numbered(7)]

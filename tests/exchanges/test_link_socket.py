"""The cutting of bytes into messages: no matter how they arrive, and whatever they are."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri
from websockets.utils import accept_key

from exchanges.registry import venue
from exchanges.socket import MAX_MESSAGE, Socket

LIMITS = venue("binance").limits
payloads = st.one_of(
    st.binary(max_size=300), st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000]).map(lambda n: b"x" * n)
)


def opened() -> Socket:
    socket = Socket(parse_uri("ws://127.0.0.1/x"), LIMITS, lambda: None)
    key = accept_key(socket._protocol.key)
    switch = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    socket.data_received(f"{switch}{key}\r\n\r\n".encode())
    assert socket.opened.done()
    assert socket.opened.result() is None
    return socket


def wire(opcode: Opcode, payload: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=False)


def message(payload: bytes, cuts: list[int]) -> bytes:
    """Give one message in as many fragments as there are cuts, and one more, with pings in between."""
    edges = [0, *sorted(min(cut, len(payload)) for cut in cuts), len(payload)]
    parts = [payload[a:b] for a, b in pairwise(edges)]
    sent = [wire(Opcode.TEXT if k == 0 else Opcode.CONT, part, k == len(parts) - 1) for k, part in enumerate(parts)]
    return wire(Opcode.PING, b"between").join(sent)


@settings(max_examples=80)
@given(
    st.lists(st.tuples(payloads, st.lists(st.integers(0, 300), max_size=3)), max_size=8),
    st.lists(st.integers(0, 80_000), max_size=12),
)
def test_messages_do_not_depend_on_how_the_bytes_arrive(sent, cuts) -> None:
    async def run() -> None:
        data = b"".join(message(payload, fragments) for payload, fragments in sent)
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        socket, received = opened(), []
        for a, b in pairwise(edges):
            if a < b:
                socket.data_received(data[a:b])
                received += socket.take()
        assert received == [payload for payload, _ in sent]
        assert not socket.over.done()

    asyncio.run(run())


def test_bytes_may_come_one_by_one() -> None:
    async def run() -> None:
        socket = opened()
        for byte in message(b"a" * 300, [5, 200]) + message(b"b", []):
            socket.data_received(bytes([byte]))
        assert socket.take() == [b"a" * 300, b"b"]

    asyncio.run(run())


@settings(max_examples=150)
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=40), payloads.map(lambda p: message(p, []))), max_size=6))
def test_whatever_arrives_gives_messages_or_an_end_with_a_cause(chunks) -> None:
    async def run() -> None:
        socket = opened()
        for chunk in chunks:
            if chunk:
                socket.data_received(chunk)
        socket.connection_lost(None)
        assert all(isinstance(frame, bytes) for frame in socket.take())
        assert socket.over.result()

    asyncio.run(run())


@settings(max_examples=100)
@given(st.binary(max_size=200), st.booleans())
def test_whatever_answers_the_handshake_is_a_refusal(answer: bytes, ended: bool) -> None:
    async def run() -> None:
        socket = Socket(parse_uri("ws://127.0.0.1/x"), LIMITS, lambda: None)
        socket.data_received(answer + b"\r\n\r\n" * ended)
        socket.connection_lost(ConnectionResetError("reset"))
        assert socket.opened.result() is not None
        assert socket.take() == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x7f" + (MAX_MESSAGE + 1).to_bytes(8, "big"), "1009"),
        (b"\x81\x7f" + b"\xff" * 8, "1009"),
        (b"\x81\x85abcdhello", "1002"),
        (b"\x83\x00", "1002"),
        (b"\xc1\x00", "1002"),
        (b"\x80\x01x", "1002"),
        (b"\x01\x01x\x81\x01y", "1002"),
        (b"\x89\x7e\x00\x7e" + b"x" * 126, "1002"),
        (b"\x09\x01x", "1002"),
        (b"\x88\x01x", "1002"),
        (b"\x88\x04\x03\xe8\xff\xff", "1007"),
        (b"\x88\x02\x03\xe9", "1001"),
        (b"\x88\x00", "1005"),
    ],
)
def test_breaches_end_the_connection_and_what_came_before_counts(data: bytes, code: str) -> None:
    async def run() -> None:
        socket = opened()
        socket.data_received(wire(Opcode.TEXT, b"before") + data + wire(Opcode.TEXT, b"after"))
        assert socket.take() == [b"before"]
        assert code in socket.over.result()

    asyncio.run(run())


def test_fragments_are_bounded_together() -> None:
    async def run() -> None:
        socket = opened()
        half = b"x" * (MAX_MESSAGE // 2 + 1)
        socket.data_received(wire(Opcode.TEXT, half, False) + wire(Opcode.CONT, half))
        assert socket.take() == []
        assert "1009" in socket.over.result()

    asyncio.run(run())

"""What a venue tolerates: attempts to connect, messages, streams; and how much waits in memory."""

import asyncio
import contextlib
import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from core.errors import UserError
from exchanges.allowance import Allowance
from exchanges.attempts import Attempts
from exchanges.registry import venue
from exchanges.venue import Heartbeat

LIMITS = venue("binance").limits


def heaviest(taken: list[tuple[float, int]], seconds: float) -> int:
    """Give the largest sum of any window of [t, t + seconds)."""
    return max((sum(n for at, n in taken if start <= at < start + seconds) for start, _ in taken), default=0)


@settings(max_examples=150)
@given(
    st.integers(1, 20),
    st.floats(0.5, 100),
    st.lists(st.tuples(st.floats(0, 50), st.integers(1, 30)), max_size=60),
)
def test_no_window_holds_more_than_the_allowance(amount, seconds, asked) -> None:
    allowance, taken, now = Allowance(amount, seconds), [], 0.0
    for pause, weight in asked:
        now += pause
        wait = allowance.wait(weight, now)
        assert 0 <= wait <= seconds * (1 + 1e-9)
        if wait > 0:
            assert copy.deepcopy(allowance).wait(weight, now + wait * 0.99) > 0, "no longer than needed"
        while (wait := allowance.wait(weight, now)) > 0:
            now += wait
        allowance.take(weight, now)
        taken.append((now, min(weight, amount)))
    assert heaviest(taken, seconds * (1 - 1e-9)) <= amount


@given(st.integers(0, 10_000), st.floats(0.001, 10), st.floats(0.001, 100), st.floats(0, 1))
def test_the_back_off_has_full_jitter_under_a_cap(failures, base, cap, share) -> None:
    drawn = Attempts(LIMITS, base=base, cap=cap, draw=lambda low, high: low + share * (high - low)).delay(failures)
    highest = min(cap, base * 2.0 ** min(failures - 1, 1000)) if failures else 0.0
    assert drawn == pytest.approx(share * highest)
    random = Attempts(LIMITS, base=base, cap=cap)
    assert all(0 <= random.delay(failures) <= highest for _ in range(20))


def test_many_links_together_keep_to_the_budget_of_attempts(linked, sink_type, raw_server) -> None:
    permitted: list[tuple[float, int]] = []
    accepted: list[bytes] = []

    class Noted(Attempts):
        async def permission(self, failures: int) -> None:
            await super().permission(failures)
            permitted.append((asyncio.get_running_loop().time(), 1))

    async def drop(head, reader, writer) -> None:
        accepted.append(head)

    async def run() -> None:
        attempts = Noted(venue_limits(attempts=5, attempts_per=0.4), base=0.001, cap=0.002)
        async with raw_server(drop) as port, asyncio.TaskGroup() as group, asyncio.timeout(20):

            async def one() -> None:
                async with linked(port, sink_type(), attempts=attempts):
                    while len(accepted) < 21:
                        await asyncio.sleep(0.01)

            for _ in range(7):
                group.create_task(one())

    asyncio.run(run())
    assert heaviest(permitted, 0.4) <= 5
    assert 21 <= len(accepted) <= len(permitted)


def venue_limits(**changes):
    return type(LIMITS)(**{name: getattr(LIMITS, name) for name in LIMITS.__slots__} | changes)


class Listening:
    """Answers every message and notes when it came."""

    def __init__(self, refuse: str = "") -> None:
        self.messages: list[tuple[float, dict]] = []
        self.refuse = refuse

    async def handle(self, connection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                asked = json.loads(message)
                self.messages.append((asyncio.get_running_loop().time(), asked))
                refused = self.refuse and self.refuse in asked["params"]
                answer = {"error": {"code": 2, "msg": "no such stream"}} if refused else {"result": None}
                await connection.send(json.dumps({**answer, "id": asked["id"]}))

    def params(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(asked["method"], tuple(asked["params"])) for _, asked in self.messages]


async def until(reached) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.005)


def test_streams_change_at_run_time_and_stay_changed(linked, sink_type) -> None:
    server, sink = Listening(refuse="no@trade"), sink_type(quiet=True)

    async def run() -> None:
        async with serve(server.handle, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            async with linked(port, sink, streams=4, messages=50) as link:
                await until(lambda: len(server.messages) == 1)
                await link.change("SUBSCRIBE", ["a@trade", "b@trade", "a@trade", "btcusdt@trade"])
                await link.change("UNSUBSCRIBE", ["btcusdt@trade", "unknown@trade"])
                await link.change("SUBSCRIBE", ["no@trade"])
                await until(lambda: link.streams == ("a@trade", "b@trade"))
                with pytest.raises(UserError, match="4 streams at most"):
                    await link.change("SUBSCRIBE", ["c@trade", "d@trade", "e@trade"])
                assert server.params() == [
                    ("SUBSCRIBE", ("btcusdt@trade",)),
                    ("SUBSCRIBE", ("a@trade", "b@trade")),
                    ("UNSUBSCRIBE", ("btcusdt@trade",)),
                    ("SUBSCRIBE", ("no@trade",)),
                ]
                link.reconnect("the caller's cause")
                await until(lambda: len(server.messages) == 5)
                assert server.params()[4] == ("SUBSCRIBE", ("a@trade", "b@trade"))

    asyncio.run(run())
    assert sink.causes() == ["reconnect: the caller's cause", "stopped"]
    assert [event[2:] for event in sink.events if event[0] == "refused"] == [("no@trade", "2: no such stream")]


def test_a_link_without_streams_is_never_silent(linked, sink_type) -> None:
    server, sink = Listening(), sink_type()

    async def run() -> None:
        async with serve(server.handle, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            async with linked(port, sink, watch=(0.2, 0.2, 1.0)) as link:
                await until(lambda: len(server.messages) == 1)
                await link.change("UNSUBSCRIBE", ["btcusdt@trade"])
                await asyncio.sleep(0.5)
                assert sink.marks() == ["connected"]
                await link.change("SUBSCRIBE", ["btcusdt@trade"])
                await sink.until(lambda: sink.marks()[:3] == ["connected", "doubtful", "lost"])

    asyncio.run(run())


def test_messages_keep_to_the_venues_limit_whatever_is_asked(linked, sink_type) -> None:
    server, sink = Listening(), sink_type(quiet=True)
    limits = {"messages": 4, "messages_per": 0.3, "streams_per_message": 2}

    async def run() -> None:
        async with serve(server.handle, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            async with linked(port, sink, **limits) as link:
                await link.change("SUBSCRIBE", [f"s{k}@trade" for k in range(25)])
                await until(lambda: len(server.messages) == 13)

    asyncio.run(run())
    assert all(len(params) <= 2 for _, params in server.params())
    # Half the window: the machine may delay one message more than the next.
    assert heaviest([(at, 1) for at, _ in server.messages], 0.15) <= 4


def test_pings_are_answered_with_their_payload_and_a_flood_within_the_limit(
    linked, sink_type, raw_server, handshake
) -> None:
    pongs: list[tuple[float, bytes]] = []

    async def serve_pings(head, reader, writer) -> None:
        writer.write(handshake(head) + b"\x89\x03one")
        while len(pongs) < 12:
            if len(pongs) == 1:
                writer.write(b"".join(b"\x89\x03" + b"%03d" % k for k in range(100)))
            if len(pongs) > 1:
                writer.write(b"\x89\x00" * 50)
            head, size = await reader.readexactly(2)
            mask = await reader.readexactly(4)
            payload = bytes(b ^ mask[k % 4] for k, b in enumerate(await reader.readexactly(size & 0x7F)))
            if head == 0x8A:
                pongs.append((asyncio.get_running_loop().time(), payload))

    async def run() -> None:
        sink = sink_type(quiet=True)
        async with raw_server(serve_pings) as port, linked(port, sink, messages=4, messages_per=0.2):
            await until(lambda: len(pongs) == 12)

    asyncio.run(run())
    assert [payload for _, payload in pongs[:2]] == [b"one", b"099"]
    assert heaviest([(at, 1) for at, _ in pongs], 0.1) <= 4


@pytest.mark.parametrize("payload", ["ping", None])
def test_a_client_that_begins_the_heartbeat_does(linked, sink_type, raw_server, handshake, payload) -> None:
    beats: list[int] = []

    async def serve_beats(head, reader, writer) -> None:
        writer.write(handshake(head))
        while True:
            head, size = await reader.readexactly(2)
            sent = await reader.readexactly(4 + (size & 0x7F))
            if head == 0x88:
                return
            mask, body = sent[:4], sent[4:]
            text = bytes(b ^ mask[k % 4] for k, b in enumerate(body))
            if head == (0x89 if payload is None else 0x81) and text == (payload or "").encode():
                beats.append(head)
                writer.write(b"\x8a\x00")

    async def run() -> None:
        heartbeat = Heartbeat("client", interval=0.02, timeout=0.8, payload=payload)
        sink = sink_type(quiet=True)
        async with raw_server(serve_beats) as port, linked(port, sink, heartbeat=heartbeat, messages=1000):
            await until(lambda: len(beats) > 60)
            assert sink.marks() == ["connected"], "answered pings keep it alive"

    asyncio.run(run())


def test_what_finds_no_room_waits_in_the_network_and_is_no_silence(
    linked, sink_type, raw_server, handshake, numbered
) -> None:
    sink, sent, total = sink_type(), 0, 300_000

    async def serve_all(head, reader, writer) -> None:
        nonlocal sent
        writer.write(handshake(head))
        await reader.read(1000)
        while sent < total:
            frames = [numbered(k) for k in range(sent + 1, sent + 1001)]
            writer.write(b"".join(b"\x81\x7e" + len(frame).to_bytes(2, "big") + frame for frame in frames))
            await writer.drain()
            sent += 1000
        await reader.read(1000)

    async def run() -> None:
        async with raw_server(serve_all) as port, linked(port, sink, watch=(0.3, 0.3, 1.0)):
            await sink.until(lambda: len(sink.frames) > 1000)
            sink.open.clear()
            await asyncio.sleep(0.2)
            stuck, held = sent, len(sink.frames)
            await asyncio.sleep(0.8)
            assert (sent, len(sink.frames)) == (stuck, held)
            assert sent < total
            assert (sent - held) * len(numbered(1)) < 24 << 20, "no more than buffers of sockets, and ours"
            sink.open.set()
            await sink.until(lambda: len(sink.frames) == total)
            assert sink.marks() == ["connected"]

    asyncio.run(run())
    assert sink.frames == [numbered(k) for k in range(1, total + 1)]

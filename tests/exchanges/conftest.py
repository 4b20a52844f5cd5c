import asyncio
import contextlib
import gzip
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.utils import accept_key

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.records import Kind, Record, RecordBlock
from exchanges.attempts import Attempts
from exchanges.columns import SPACES, Columns
from exchanges.link import Link, Watch
from exchanges.messages import Quote, Trade
from exchanges.registry import venue
from exchanges.sink import CAUSES
from exchanges.venue import Venue

ROOT = Path(__file__).parents[2]
SAMPLE = Path(os.environ.get("TIDEMILL_SAMPLE", ROOT.parent / "shared" / "sample"))


@pytest.fixture(scope="session")
def fixture_frames() -> list[bytes]:
    return (ROOT / "tests/fixtures/binance.jsonl").read_bytes().splitlines()


@pytest.fixture(scope="session")
def block_of() -> Callable[..., RecordBlock]:
    def build(frames: list[bytes], first_offset: int = 100) -> RecordBlock:
        received = 1_700_000_000_000_000
        records = [Record(Kind.FRAME, received + at, frame) for at, frame in enumerate(frames)]
        return RecordBlock.of("test", first_offset, records)

    return build


@pytest.fixture(scope="session")
def assert_paths_agree(block_of: Callable[..., RecordBlock]) -> Callable[[Venue, list[bytes]], set[int]]:
    """Hold the fast path to what parse says; gives the frames that the fast path took."""

    def check(venue: Venue, frames: list[bytes]) -> set[int]:
        block = block_of(frames)
        columns = venue.trades(block.payload, block.starts, block.sizes)
        rest, quotes, ignored = set(columns.rest.tolist()), [], 0
        assert columns.row.tolist() == sorted(set(columns.row.tolist()))
        read = {row: at for at, row in enumerate(columns.row.tolist())}
        assert not rest & set(read)
        for at, frame in enumerate(frames):
            try:
                messages = venue.parse(frame, 1)
            except MalformedFrame as error:
                assert at in rest, (frame, str(error))  # noqa: PT017 - whether it raises is parse's to say
                continue
            if at in rest:
                continue
            if at not in read:
                assert not any(isinstance(message, Trade) for message in messages), frame
                quotes += [(at, message) for message in messages if isinstance(message, Quote)]
                ignored += not messages
                continue
            row, (trade,) = read[at], messages
            assert isinstance(trade, Trade), frame
            assert (
                venue.instrument(columns.symbols[columns.symbol[row]]).name,
                SPACES[columns.space[row]],
                int(columns.ids[row]),
                int(columns.ts[row]),
                float(columns.price[row]).hex(),
                float(columns.size[row]).hex(),
                {1: "buy", -1: "sell"}[int(columns.side[row])],
                int(columns.fills[row]),
            ) == (
                trade.instrument,
                trade.id_space,
                trade.id,
                trade.time,
                float(trade.price).hex(),
                float(trade.size).hex(),
                trade.side,
                trade.fills,
            ), frame
        assert columns.ignored == ignored
        assert _scanned_quotes(venue, columns) == [
            (at, one.instrument, one.id, one.time, *map(float, (one.bid, one.bid_size, one.ask, one.ask_size)))
            for at, one in quotes
        ]
        return set(range(len(frames))) - rest

    return check


def _scanned_quotes(venue: Venue, columns: Columns) -> list[tuple[object, ...]]:
    quotes = columns.quotes
    if quotes is None:
        return []
    names = [venue.instrument(columns.symbols[number]).name for number in quotes.symbol]
    # What has no time was received at 1, as `parse` was told.
    times = [time or 1 for time in quotes.ts.tolist()]
    ids, *best = (c.tolist() for c in (quotes.ids, quotes.bid, quotes.bid_size, quotes.ask, quotes.ask_size))
    return list(zip(quotes.row.tolist(), names, ids, times, *best, strict=True))


@pytest.fixture(scope="session")
def spot_capture() -> list[bytes]:
    files = sorted((SAMPLE / "trades").glob("binance_spot_btcusdt_*.ws.gz"))
    if not files:
        pytest.skip("the recorded market data is not there: set TIDEMILL_SAMPLE")
    return [line.split(b" ", 1)[1].rstrip(b"\n") for file in files for line in _lines(file)]


@pytest.fixture(scope="session")
def short_capture() -> Callable[[str], list[bytes]]:
    def read(name: str) -> list[bytes]:
        file = SAMPLE / "ws" / name
        if not file.exists():
            pytest.skip("the recorded market data is not there: set TIDEMILL_SAMPLE")
        lines = file.read_bytes().splitlines()[1:]
        return [line.split(b": ", 1)[1] for line in lines if line]

    return read


def _lines(file: Path) -> Iterator[bytes]:
    with gzip.open(file) as lines:
        yield from lines


class RecordedSink:
    """What a link told, in order; silence is a fault unless ``quiet`` says otherwise."""

    def __init__(self, quiet: bool = False) -> None:
        self.events: list[tuple[str, ...]] = []
        self.frames: list[bytes] = []
        self.quiet = quiet
        self.carried: list[tuple[str, tuple[str, ...]]] = []
        self.dead: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.changed = asyncio.Event()

    def connected(self, link_name: str, streams: tuple[str, ...]) -> None:
        self._note("connected", link_name)
        self.carried.append(("connected", streams))

    def resubscribed(self, link_name: str, streams: tuple[str, ...]) -> None:
        self._note("resubscribed", link_name)
        self.carried.append(("resubscribed", streams))

    def lost(self, link_name: str, cause: str, streams: tuple[str, ...]) -> None:
        assert cause.partition(":")[0] in CAUSES, cause
        self._note("lost", link_name, cause)
        self.carried.append(("lost", streams))

    def interrupted(self, link_name: str, cause: str, streams: tuple[str, ...]) -> None:
        self._note("interrupted", link_name, cause, *streams)

    def silent(self, streams: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(stream for stream in streams if stream in self.dead)

    def received(self, frames: list[bytes]) -> None:
        self.frames += frames
        self.changed.set()

    def refused(self, link_name: str, streams: tuple[str, ...], words: str) -> None:
        self._note("refused", link_name, *streams, words)

    async def doubtful(self, streams: tuple[str, ...]) -> bool:
        self._note("doubtful", *streams)
        return not self.quiet

    async def room(self) -> None:
        await self.open.wait()

    def causes(self) -> list[str]:
        return [event[2] for event in self.events if event[0] == "lost"]

    def marks(self) -> list[str]:
        return [event[0] for event in self.events]

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not reached():
                self.changed.clear()
                await self.changed.wait()

    def _note(self, *event: str) -> None:
        self.events.append(event)
        self.changed.set()


@pytest.fixture(scope="session")
def sink_type() -> type[RecordedSink]:
    return RecordedSink


@pytest.fixture(scope="session")
def linked():
    """Run a link to a port of this machine while the block runs; gives it, stopped at the end."""

    @contextlib.asynccontextmanager
    async def run(
        port: int,
        sink: RecordedSink,
        *,
        watch=(5.0, 5.0, 0.2),
        attempts=None,
        heartbeat=None,
        market=None,
        names=("BTC-USDT",),
        **limits,
    ):
        market = market or venue("binance")
        market = replace(market, websocket_url=f"ws://127.0.0.1:{port}", limits=replace(market.limits, **limits))
        market = replace(market, heartbeat=heartbeat or market.heartbeat)
        (connection,) = market.subscriptions([Instrument.parse(f"binance:{name}") for name in names], ["trade"])
        attempts = attempts or Attempts(market.limits, base=0.02, cap=0.1)
        link = Link(market, connection, sink, attempts, Watch(*watch))
        task = asyncio.create_task(link.run())
        try:
            yield link
            assert not task.done() or task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return run


@pytest.fixture(scope="session")
def numbered():
    """Give the frame of the trade with this id."""

    def frame(number: int) -> bytes:
        return (
            b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":%d,'
            b'"p":"61837.63000000","q":"0.00100000","T":1672515782136,"m":true,"M":true}}' % number
        )

    return frame


@pytest.fixture(scope="session")
def raw_server():
    """Serve TCP on a free port: each connection by the next of the handlers, the last one again and again.

    The head of the request has been read; ``handshake`` answers it.
    """

    @contextlib.asynccontextmanager
    async def serve(*handlers, port: int = 0):
        tasks: list[asyncio.Task[None]] = []
        writers: list[asyncio.StreamWriter] = []

        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handler = handlers[min(len(tasks), len(handlers) - 1)]
            tasks.append(asyncio.current_task())
            writers.append(writer)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(await reader.readuntil(b"\r\n\r\n"), reader, writer)
            writer.close()

        server = await asyncio.start_server(one, "127.0.0.1", port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            # What was accepted just now becomes a task within a few turns of the loop.
            for _ in range(10):
                await asyncio.sleep(0)
            for task, writer in zip(tasks, writers, strict=True):
                task.cancel()
                writer.transport.abort()
            await asyncio.gather(*tasks, return_exceptions=True)
            for _ in range(10):
                await asyncio.sleep(0)

    return serve


@pytest.fixture(scope="session")
def handshake():
    def answer(head: bytes) -> bytes:
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1].decode()
        switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        return f"{switch}Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode()

    return answer

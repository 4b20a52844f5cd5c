import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import MalformedFrame
from core.records import Kind, Record, RecordBlock
from exchanges.columns import SPACES
from exchanges.messages import Quote, Trade
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
        rest, quotes, ignored = set(columns.rest.tolist()), 0, 0
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
                quotes += len(messages) == 1 and isinstance(messages[0], Quote)
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
        assert (columns.quotes, columns.ignored) == (quotes, ignored)
        return set(range(len(frames))) - rest

    return check


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

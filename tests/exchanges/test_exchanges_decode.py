import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from core.quotes import QuoteBatch
from core.records import Quarantined, RecordBlock, Tick
from exchanges.columns import Columns
from exchanges.decode import to_batches
from exchanges.messages import Quote, Trade
from exchanges.registry import venue

SPOT = venue("binance")
Build = Callable[..., RecordBlock]


def frame(symbol: str, number: int, shape: int) -> bytes:
    deal = f'"p":"{number}.10","q":"0.5"'
    known = f'"E":1672515782136,"s":"{symbol}","t":{number},{deal},"T":1672515782136'
    match shape:
        case 0:
            return f'{{"e":"trade",{known},"m":true}}'.encode()
        case 1:  # a space: for parse
            return f'{{"e":"trade", {known},"m":false}}'.encode()
        case 2:
            return (
                f'{{"e":"aggTrade","E":1672515782136,"s":"{symbol}","a":{number},{deal},'
                f'"f":{number},"l":{number + 2},"T":1672515782136,"m":false}}'
            ).encode()
        case 3:
            return f'{{"u":{number},"s":"{symbol}","b":"1.5","B":"{number}","a":"2","A":"0.1"}}'.encode()
        case 4:
            return f'{{"result":null,"id":{number}}}'.encode()
        case _:
            return b'{"e":"trade"' + symbol.encode()


frames = st.lists(
    st.builds(frame, st.sampled_from(["BTCUSDT", "ETHUSDT", "NOSUCH"]), st.integers(1, 99), st.integers(0, 5)),
    max_size=40,
)


def quoted(batch: QuoteBatch | None) -> list[tuple[object, ...]]:
    if batch is None:
        return []
    columns = (batch.ts, batch.offset, batch.ids, batch.bid, batch.bid_size, batch.ask, batch.ask_size)
    names = [batch.names[number] for number in batch.instrument]
    return list(zip(names, *(column.tolist() for column in columns), strict=True))


@given(frames)
@settings(max_examples=150, deadline=None)
def test_batches_hold_what_parse_says_in_the_order_of_arrival(block_of: Build, drawn: list[bytes]) -> None:
    block = block_of(drawn, first_offset=1000)
    decoded = to_batches(SPOT, block)
    expected: dict[tuple[str, str], list[tuple[object, ...]]] = {}
    malformed, counts, quotes = [], {}, []
    for offset, record in enumerate(block.records(), 1000):
        try:
            messages = SPOT.parse(record.payload, record.received_at)
        except MalformedFrame as error:
            malformed.append(Quarantined("test", offset, record.received_at, str(error), record.payload))
            counts["malformed"] = counts.get("malformed", 0) + 1
            continue
        for message in messages:
            name = type(message).__name__.lower()
            counts[name] = counts.get(name, 0) + 1
            if isinstance(message, Quote):
                best = (message.bid, message.bid_size, message.ask, message.ask_size)
                quotes.append((message.instrument, record.received_at, offset, message.id, *map(float, best)))
            if isinstance(message, Trade):
                side = 1 if message.side == "buy" else -1
                row = (message.id, message.time, record.received_at, float(message.price), float(message.size))
                expected.setdefault((message.instrument, message.id_space), []).append(
                    (*row, side, message.fills, offset)
                )
    got = {
        (batch.instrument, batch.id_space): list(zip(*(c.tolist() for c in batch.columns()), strict=True))
        for batch in decoded.batches
    }
    assert list(got.items()) == list(expected.items())
    assert quoted(decoded.quotes) == quotes
    assert decoded.malformed == malformed
    assert decoded.counts == counts


@given(frames)
@settings(max_examples=50, deadline=None)
def test_a_venue_without_a_fast_path_gives_the_same(block_of: Build, drawn: list[bytes]) -> None:
    class Plain:
        parse, instrument = SPOT.parse, SPOT.instrument

        @staticmethod
        def trades(payload: bytes, starts: np.ndarray, sizes: np.ndarray) -> Columns:
            return Columns.untaken(len(starts))

    block = block_of(drawn)
    fast, plain = to_batches(SPOT, block), to_batches(Plain, block)
    assert quoted(fast.quotes) == quoted(plain.quotes)
    assert fast.counts == plain.counts
    assert fast.malformed == plain.malformed
    assert len(fast.batches) == len(plain.batches)
    for a, b in zip(fast.batches, plain.batches, strict=True):
        assert (a.instrument, a.id_space) == (b.instrument, b.id_space)
        for x, y in zip(a.columns(), b.columns(), strict=True):
            assert x.dtype == y.dtype
            assert x.tolist() == y.tolist()


def test_columns_have_the_types_of_a_trade_batch(block_of: Build) -> None:
    drawn = [frame("BTCUSDT", 1, 0), frame("BTCUSDT", 2, 1), frame("ETHUSDT", 3, 2)]
    for batch in to_batches(SPOT, block_of(drawn)).batches:
        names = [str(column.dtype) for column in batch.columns()]
        assert names == ["int64", "int64", "int64", "float64", "float64", "int8", "int32", "int64"]


def test_quarantine_keeps_the_first_bytes_only(block_of: Build) -> None:
    (kept,) = to_batches(SPOT, block_of([b"x" * 10_000])).malformed
    assert len(kept.payload) == Quarantined.KEPT_BYTES


def test_records_that_are_no_frames_are_not_decoded(block_of: Build) -> None:
    block = RecordBlock.of("test", 0, [Tick(1_700_000_000_000_000).record(1)])
    with pytest.raises(ValueError, match="frames only"):
        to_batches(SPOT, block)


def test_a_frame_with_a_newline_inside_is_read_like_any_other(block_of: Build) -> None:
    drawn = [frame("BTCUSDT", 1, 0).replace(b",", b",\n"), frame("BTCUSDT", 2, 0)]
    assert to_batches(SPOT, block_of(drawn)).counts == {"trade": 2}


@pytest.mark.sample
def test_the_capture_gives_its_trades(block_of: Build, spot_capture: list[bytes]) -> None:
    decoded = to_batches(SPOT, block_of(spot_capture))
    assert decoded.counts == {"trade": 19_904, "quote": 73_174, "ignored": 6_496}
    (batch,) = decoded.batches
    assert (batch.instrument, batch.id_space) == ("binance:BTC-USDT", "trade")
    assert np.array_equal(np.diff(batch.ids), np.ones(19_903))


@pytest.mark.sample
def test_the_capture_is_read_by_the_fast_path_alone(block_of: Build, spot_capture: list[bytes]) -> None:
    block = block_of(spot_capture)
    columns = SPOT.trades(block.payload, block.starts, block.sizes)
    assert [spot_capture[at][:15] for at in columns.rest] == [b'{"lastUpdateId"']


def test_a_second_process_does_not_compile_again() -> None:
    code = (
        "import numpy as np\n"
        "from exchanges.binance_scan import scan\n"
        "from exchanges.registry import venue\n"
        "venue('binance').trades(b'', np.empty(0, np.int64), np.empty(0, np.int64))\n"
        "print(sum(scan.stats.cache_hits.values()))\n"
    )
    root = Path(__file__).parents[2]
    SPOT.trades(b"", np.empty(0, np.int64), np.empty(0, np.int64))
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "1"

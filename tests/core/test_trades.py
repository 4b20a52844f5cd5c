import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from core.trades import TRADES_SCHEMA, TradeBatch

int64 = st.integers(-(2**63), 2**63 - 1)
rows = st.lists(
    st.tuples(
        int64,
        int64,
        int64,
        st.floats(allow_nan=False),
        st.floats(allow_nan=False),
        st.sampled_from([1, -1]),
        st.integers(1, 2**31 - 1),
    ),
    min_size=1,
    max_size=30,
)


def batch(of: list[tuple[int, int, int, float, float, int, int]]) -> TradeBatch:
    ids, ts, received, price, size, side, fills = zip(*of, strict=True)
    return TradeBatch(
        "binance:BTC-USDT",
        "trade",
        np.array(ids, dtype=np.int64),
        np.array(ts, dtype=np.int64),
        np.array(received, dtype=np.int64),
        np.array(price, dtype=np.float64),
        np.array(size, dtype=np.float64),
        np.array(side, dtype=np.int8),
        np.array(fills, dtype=np.int32),
        np.arange(len(of), dtype=np.int64),
    )


def same(a: TradeBatch, b: TradeBatch) -> bool:
    columns = zip(a.columns()[:-1], b.columns()[:-1], strict=True)
    equal = all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in columns)
    return (a.instrument, a.id_space) == (b.instrument, b.id_space) and equal


def well_formed_or_refused(payload: bytes) -> bool:
    try:
        read = TradeBatch.from_ipc(payload)
    except MalformedFrame as error:
        return "\n" not in str(error)
    read.to_arrow().validate(full=True)
    return {len(column) for column in read.columns()} == {len(read)}


@given(rows)
def test_what_is_written_is_read_back_to_the_bit(of: list[tuple[int, int, int, float, float, int, int]]) -> None:
    written = batch(of)
    read = TradeBatch.from_ipc(written.to_ipc(), offset=77)
    assert same(written, read)
    assert read.offset.tolist() == [77] * len(of)


@given(rows)
def test_arrow_rows_have_the_one_schema(of: list[tuple[int, int, int, float, float, int, int]]) -> None:
    arrow = batch(of).to_arrow()
    arrow.validate(full=True)
    assert arrow.schema == TRADES_SCHEMA
    assert same(TradeBatch.from_arrow(arrow), batch(of))


@given(st.binary(max_size=2_000))
def test_any_bytes_are_a_batch_or_malformed(payload: bytes) -> None:
    assert well_formed_or_refused(payload)


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0xFF])
def test_no_single_damaged_byte_ends_the_process(value: int) -> None:
    whole = batch([(1, 2, 3, 4.0, 5.0, 1, 1), (2, 2, 3, 4.0, 5.0, -1, 7)]).to_ipc()
    for at in range(len(whole)):
        assert well_formed_or_refused(whole[:at] + bytes([value]) + whole[at + 1 :])


@settings(max_examples=200)
@given(rows, st.data())
def test_damaged_bytes_are_a_batch_or_malformed(
    of: list[tuple[int, int, int, float, float, int, int]], data: st.DataObject
) -> None:
    payload = bytearray(batch(of).to_ipc())
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    assert well_formed_or_refused(bytes(payload[:cut] if data.draw(st.booleans()) else payload))


def test_another_schema_and_no_rows_are_malformed() -> None:
    for table in (pa.table({"x": [1]}), TRADES_SCHEMA.empty_table()):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(MalformedFrame):
            TradeBatch.from_ipc(sink.getvalue().to_pybytes())


@given(rows)
def test_event_order_is_time_then_id_then_arrival(
    of: list[tuple[int, int, int, float, float, int, int]],
) -> None:
    sorted_batch = batch([(trade_id % 2**40, *other) for trade_id, *other in of]).in_event_order()  # type: ignore[misc]
    keys = list(zip(sorted_batch.ts.tolist(), sorted_batch.ids.tolist(), sorted_batch.offset.tolist(), strict=True))
    assert keys == sorted(keys)
    assert sorted(sorted_batch.offset.tolist()) == list(range(len(of)))


@given(st.lists(st.tuples(st.integers(1, 3), st.floats(1e-12, 1e11), st.sampled_from([1, -1])), min_size=1))
def test_where_ids_are_made_of_text_an_order_takes_the_best_price_first(of: list[tuple[int, float, int]]) -> None:
    told = [(-1 - number, ts, ts, price, 1.0, side, 1) for number, (ts, price, side) in enumerate(of)]
    ordered = batch(told).in_event_order()
    keys = list(zip(ordered.ts.tolist(), (ordered.side * ordered.price).tolist(), strict=True))
    assert keys == sorted(keys)
    assert sorted(ordered.offset.tolist()) == list(range(len(of)))


@given(rows, st.integers(0, 30))
def test_taking_and_joining_gives_the_whole(of: list[tuple[int, int, int, float, float, int, int]], cut: int) -> None:
    whole = batch(of)
    joined = TradeBatch.concat([whole.take(slice(None, cut)), whole.take(slice(cut, None))])
    assert same(joined, whole)
    assert np.array_equal(joined.offset, whole.offset)
    assert same(whole.take(whole.ts == whole.ts[0]), whole.take(np.flatnonzero(whole.ts == whole.ts[0])))

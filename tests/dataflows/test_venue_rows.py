"""Conflated quotes and mark prices: rows that depend on the records alone, not on how they are read."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.klines import KlineBatch
from core.mark_prices import UNTOLD, MarkPriceBatch
from core.quotes import QuoteBatch
from core.records import Kind, Mark, Record, RecordBlock, Tick
from core.timeframes import HOUR
from dataflows.decode import Decoder, Reached
from dataflows.venue_rows import Heard, VenueState, tell
from exchanges.decode import Told, to_batches
from exchanges.messages import MarkPrice
from exchanges.registry import venue

SECOND = 1_000_000
T0 = 1_736_121_600_000_000


def quote(symbol: str, number: int, bid: int, time: int | None = None) -> bytes:
    best = f'"b":"{bid}.5","B":"{number}","a":"{bid + 1}","A":"0"'
    if time is None:
        return f'{{"u":{number},"s":"{symbol}",{best}}}'.encode()
    return f'{{"e":"bookTicker","u":{number},"s":"{symbol}",{best},"T":{time},"E":{time}}}'.encode()


@st.composite
def journals(draw: st.DrawFn) -> list[Record]:
    now, records = T0, []
    for number in range(1, draw(st.integers(1, 40))):
        now += draw(st.sampled_from([0, 1, 200_000, SECOND, 5 * SECOND, -3 * SECOND]))
        received = draw(st.sampled_from([now, now, now, now, 0]))
        match draw(st.integers(0, 9)):
            case 0:
                records.append(Tick(now).record(received))
            case 1:
                records.append(Mark("ended").record(received))
            case 2:
                records.append(Record(Kind.FRAME, received, b"garbage"))
            case shape:
                symbol = draw(st.sampled_from(["BTCUSDT", "ETHUSDT"]))
                time = now // 1000 if shape > 6 else None
                frame = quote(symbol, number, draw(st.integers(1, 9)), time)
                # With a space the compiled path leaves it to parse.
                records.append(Record(Kind.FRAME, received, frame.replace(b",", b", ") if shape == 3 else frame))
    return records or [Tick(T0).record(T0)]


def expected(records: list[Record], interval: int) -> Iterator[tuple[object, ...]]:
    """Say the same one record at a time."""
    waiting: dict[str, tuple[object, ...]] = {}
    slot = -1
    for offset, record in enumerate(records):
        told = msgspec.json.decode(record.payload) if record.payload[:4] in (b'{"u"', b'{"e"') else None
        ts = (told["T"] * 1000 if "T" in told else record.received_at) if told else 0
        clock = record.received_at or ts
        if interval and clock:
            passed = clock // interval != slot
            slot = clock // interval
        else:
            passed = False
        if passed or record.payload.startswith(b'{"mark":"ended"'):
            yield from sorted((offset, *row) for row in waiting.values())
            waiting = {}
        if told and ts:
            name = f"binance:{told['s'][:3]}-USDT"
            row = (name, ts, record.received_at, told["u"], float(told["b"]), float(told["a"]))
            if interval:
                waiting[name] = row
            else:
                yield (offset, *row)


def worked_off(records: list[Record], cuts: list[int], interval: int) -> list[tuple[object, ...]]:
    decoder, state, rows = Decoder({"test": "binance"}, interval), None, []
    for low, high in pairwise([0, *cuts, len(records)]):
        state, found = decoder(state, RecordBlock.of("test", low, records[low:high]))
        rows += [batch for item in found if isinstance(item, Reached) for batch in item.told]
    return [row for batch in rows for row in as_tuples(batch)]


def as_tuples(batch: QuoteBatch) -> list[tuple[object, ...]]:
    names = [batch.names[number] for number in batch.instrument]
    columns = (batch.ts, batch.received, batch.ids, batch.bid, batch.ask)
    return list(zip(batch.offset.tolist(), names, *(column.tolist() for column in columns), strict=True))


@given(journals(), st.sampled_from([0, 1, 300_000, SECOND, 60 * SECOND]), st.data())
@settings(max_examples=150, deadline=None)
def test_quotes_depend_on_the_records_not_on_the_blocks(records: list[Record], interval: int, data) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=6)))
    whole = worked_off(records, [], interval)
    assert sorted(whole) == sorted(expected(records, interval))
    assert worked_off(records, cuts, interval) == whole
    assert worked_off(records, list(range(1, len(records))), interval) == whole


def test_what_strategies_may_know_is_the_last_quote_that_was_let_go_before() -> None:
    frames = [Record(Kind.FRAME, T0 + at * SECOND // 2, quote("BTCUSDT", at + 1, 1 + at)) for at in range(7)]
    for size in (1, 3, 7):
        decoder_state, known = VenueState(), {}
        for low in range(0, 7, size):
            block = RecordBlock.of("test", low, frames[low : low + size])
            decoder_state, rows = tell(decoder_state, block, heard(block), SECOND)
            for offset in range(low, min(low + size, 7)):
                best = rows.known.best("binance:BTC-USDT", offset) if rows.known else None
                known[offset] = best and best.bid
        assert known == {0: None, 1: None, 2: 2.5, 3: 2.5, 4: 4.5, 5: 4.5, 6: 6.5}
    assert rows.known.best("binance:ETH-USDT", 6) is None


def heard(block: RecordBlock) -> Heard:
    found = Heard()
    found.take(to_batches(venue("binance"), block))
    return found


def test_a_side_that_is_empty_has_neither_spread_nor_mid() -> None:
    block = RecordBlock.of("test", 0, [Record(Kind.FRAME, T0, quote("BTCUSDT", 1, 7))])
    (batch,) = heard(block).quotes
    best = batch.best("binance:BTC-USDT", 0)
    assert (best.ts, best.bid, best.ask, best.spread, best.mid) == (T0, 7.5, 8.0, 0.5, 7.75)
    assert replace(batch, ask=np.zeros(1)).best("binance:BTC-USDT", 0).spread is None


@pytest.mark.parametrize("time", [T0 + 2 * HOUR, 0])
def test_a_quote_that_has_no_place_in_time_is_not_stored(time: int) -> None:
    early = Record(Kind.FRAME, T0 if time else 0, quote("BTCUSDT", 1, 1, time // 1000 or None))
    decoder = Decoder({"test": "binance"})
    records = [early, *(Record(Kind.FRAME, T0 + n * SECOND, quote("BTCUSDT", 1 + n, 1)) for n in range(1, 4))]
    _, found = decoder(None, RecordBlock.of("test", 0, records))
    told = [row for item in found if isinstance(item, Reached) for batch in item.told for row in as_tuples(batch)]
    assert [row[4] for row in told] == [2, 3]
    assert len(found) == (2 if time else 1)


def test_what_an_earlier_version_knew_of_a_feed_is_gone_on_with() -> None:
    block = RecordBlock.of("test", 5, [Tick(T0).record(T0)])
    state, found = Decoder({"test": "binance"})({"binance:BTC-USDT": "trade"}, block)
    assert [type(item).__name__ for item in found] == ["Arrivals", "Reached"]
    assert state.known == {"binance:BTC-USDT": "trade"}


prices = st.builds(
    MarkPrice,
    st.sampled_from(["bybit:BTC-USDT-PERP", "bybit:ETH-USDT-PERP"]),
    st.just(T0),
    st.just(T0),
    *(st.one_of(st.none(), st.sampled_from(["1.5", "-0.0001", "60000"])) for _ in range(3)),
    st.one_of(st.none(), st.just(T0 + HOUR)),
)


@given(st.lists(st.tuples(prices, st.integers(0, 3)), min_size=1, max_size=20), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_mark_prices_fill_in_what_was_told_before(drawn: list[tuple[MarkPrice, int]], size: int) -> None:
    state, rows, now, told, known, want = VenueState(), [], T0, [], {}, []
    for offset, (price, pause) in enumerate(drawn):
        now += pause * 400_000
        told.append(Told(offset, now, price))
        values = (price.mark, price.index, price.funding_rate, price.next_funding)
        before = known.get(price.instrument, (None,) * 4)
        new = (float(v) if isinstance(v, str) else v for v in values)
        known[price.instrument] = tuple(b if v is None else v for v, b in zip(new, before, strict=True))
        want.append((price.instrument, now // SECOND, *known[price.instrument]))
    told.append(Told(len(told), now + SECOND, drawn[0][0]))
    for low in range(0, len(told), size):
        part = told[low : low + size]
        block = RecordBlock.of("test", low, [Record(Kind.FRAME, one.received, b"") for one in part])
        state, found = tell(state, block, Heard(mark_prices=part), SECOND)
        rows += [batch for batch in found.told if isinstance(batch, MarkPriceBatch)]
    got = [row for batch in rows for row in batch.to_arrow().to_pylist()]
    last = {(row[0], row[1]): at for at, row in enumerate(want)}
    names = ("instrument", "mark", "index", "funding_rate")
    assert [tuple(row[name] for name in names) for row in got] == [
        (want[at][0], *want[at][2:5]) for at in sorted(last.values())
    ]


def test_what_was_never_told_is_null() -> None:
    batch = MarkPriceBatch(
        ("a:B-C-PERP",), np.zeros(1, np.int32), *(np.array([T0]) for _ in range(3)),
        np.array([math.nan]), np.array([1.0]), np.array([math.nan]), np.array([UNTOLD]),
    )  # fmt: skip
    (row,) = batch.to_arrow().to_pylist()
    assert [row[name] for name in ("mark", "index", "funding_rate", "next_funding")] == [None, 1.0, None, None]
    assert KlineBatch((), np.empty(0, np.int64)).to_arrow().num_rows == 0


def test_what_waits_is_bounded_however_long_the_interval_is() -> None:
    state, symbols = VenueState(), ("BTCUSDT", "ETHUSDT", "LTCUSDT")
    for at in range(1_000):
        block = RecordBlock.of("test", at, [Record(Kind.FRAME, T0 + at, quote(symbols[at % 3], at + 1, 1))])
        state, rows = tell(state, block, heard(block), HOUR)
        assert not rows.told
        assert sum(map(len, state.conflation.quotes)) <= 3 + 64
    _, rows = tell(state, RecordBlock.of("test", 1_000, [Tick(T0).record(T0 + HOUR)]), Heard(), HOUR)
    (batch,) = rows.told
    assert [(offset, number) for offset, *_, number, _, _ in as_tuples(batch)] == [
        (1_000, n) for n in (998, 999, 1_000)
    ]

"""How frames are written: byte for byte the wire's, whatever the trades."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candle_fold import CandleFold, flush, fold_trades
from core.instruments import Instrument
from core.roll_up import RollUp, roll_up
from core.timeframes import MINUTE, TIMEFRAMES
from core.trades import TradeBatch
from exchanges.binance import SPOT
from exchanges.binance_usdm import USDM
from simulator import wire
from simulator.binance.events import Form, told
from simulator.binance.framing import encode, framed
from simulator.binance.market import Market, exact
from simulator.binance.streams import Stream, find
from simulator.clock import MarketClock
from simulator.exchange import SimulatedExchange
from simulator.tapes.columns import ColumnsTape

T0 = 1_736_121_600_000_000
BTC = Instrument("binance", "BTC", "USDT", native="BTCUSDT", tick=Decimal("0.01"), lot=Decimal("0.00001"))
PERP = replace(BTC, expiry="PERP")

rows = st.tuples(
    st.integers(1, 10**9),
    st.integers(1, 10**6),
    st.integers(0, 400 * 60 * 1_000_000),
    st.sampled_from([1, -1]),
)


def batch_of(trades, instrument=BTC, space="trade", fills=1):
    """Build trades from (price in ticks, size in lots, µs after T0, side), in the order of time."""
    price, size, at, side = (np.array(column) for column in zip(*sorted(trades, key=lambda row: row[2]), strict=True))
    n = len(price)
    ts = T0 + at.astype(np.int64)
    return TradeBatch(
        instrument.name,
        space,
        5_000_000 + np.arange(n, dtype=np.int64),
        ts,
        ts,
        price / 100.0,
        size / 100_000.0,
        side.astype(np.int8),
        np.full(n, fills, dtype=np.int32),
        np.full(n, -1, dtype=np.int64),
    )


def exchange_of(trades, shift=0, instrument=BTC):
    tape = ColumnsTape([instrument], [trades])
    return SimulatedExchange(tape, MarketClock(1.0, tape.end, shift, monotonic=lambda: 0.0))


def payload(frame: str) -> bytes:
    """Read one server's text frame by RFC 6455."""
    data = encode(frame)
    assert data[0] == 0x81
    size, at = data[1], 2
    if size >= 126:
        at = 4 if size == 126 else 10
        size = int.from_bytes(data[2:at], "big")
    assert len(data) == at + size
    return data[at:]


@given(size=st.one_of(st.integers(0, 2000), st.sampled_from([125, 126, 1023, 1024, 65_535, 65_536, 100_000])))
def test_a_frame_holds_its_body(size):
    assert payload(framed("x" * size)) == b"x" * size


@settings(max_examples=50)
@given(trades=st.lists(rows, min_size=1, max_size=20), late=st.integers(0, 10**7))
def test_a_trade_is_written_as_on_the_wire(trades, late):
    batch = batch_of(trades)
    stream = Stream("btcusdt@trade", "trade", Market.of(BTC, 1))
    sent = int(batch.ts[-1]) + late
    columns = (batch.ids, batch.price, batch.size, batch.ts, batch.side)
    expected = [
        wire.payload("BTCUSDT", *row, sent) for row in zip(*(column.tolist() for column in columns), strict=True)
    ]
    assert [payload(frame) for frame in told(stream, Form(True, False), batch, sent, None).frames] == expected


@settings(max_examples=50)
@given(trades=st.lists(rows, min_size=1, max_size=20), instrument=st.sampled_from([BTC, PERP]))
def test_our_venue_reads_what_was_traded(trades, instrument):
    batch, venue = batch_of(trades, instrument), USDM if instrument.expiry else SPOT
    market = Market.of(instrument, 4_000_000)
    for kind in ("aggTrade",) if instrument.expiry else ("trade", "aggTrade"):
        stream = Stream(f"btcusdt@{kind}", kind, market)
        frames = told(stream, Form(True, False), batch, int(batch.ts[-1]), None).frames
        read = [venue.parse(payload(frame), 0)[0] for frame in frames]
        assert [one.instrument for one in read] == [instrument.name] * len(batch)
        assert [float(one.price) for one in read] == batch.price.tolist()
        assert [float(one.size) for one in read] == batch.size.tolist()
        assert [one.side for one in read] == ["buy" if side > 0 else "sell" for side in batch.side.tolist()]
        offset = market.aggregate_offset if kind == "aggTrade" else 0
        assert [one.id for one in read] == (batch.ids - offset).tolist()


@given(trades=st.lists(rows, min_size=1, max_size=5), fills=st.integers(1, 900))
def test_aggregates_keep_their_ids_and_have_no_trades(trades, fills):
    batch = batch_of(trades, PERP, "aggregate", fills)
    market = Market.of(PERP, 4_000_000)
    frames = told(Stream("x", "aggTrade", market), Form(True, False), batch, T0, None).frames
    read = [USDM.parse(payload(frame).replace(b'"x"', b'"btcusdt@aggTrade"', 1), 0)[0] for frame in frames]
    assert [(one.id, one.fills) for one in read] == [(number, fills) for number in batch.ids.tolist()]
    assert told(Stream("x", "trade", market), Form(True, False), batch, T0, None).frames == []


@given(value=st.decimals("0.00000001", "999999999999999", places=8))
def test_numbers_keep_the_venues_decimal(value):
    digits = len(value.normalize().as_tuple().digits)
    double = float(value)
    if digits <= 15:
        [text] = Market.of(BTC, 1).prices(np.array([double]))
        assert Decimal(text) == value == exact(double)


@settings(max_examples=40)
@given(
    trades=st.lists(rows, min_size=1, max_size=40),
    shift=st.integers(-10_000, 10_000),
    name=st.sampled_from(["1s", "1m", "5m", "1h", "4h", "1d", "1w", "1M"]),
    elapsed=st.integers(0, 400 * 60 * 1_000_000),
)
def test_candles_are_the_fold_of_the_shifted_trades(trades, shift, name, elapsed):
    batch, shift = batch_of(trades), shift * MINUTE
    exchange = exchange_of(batch, shift)
    now = T0 + elapsed + shift
    timeframe, market = TIMEFRAMES[name], exchange.market(False, "BTCUSDT")
    told_candles = exchange.candles(market, timeframe, T0 + shift - 40 * 24 * 60 * MINUTE, now, now).candles()
    shifted = replace(batch, ts=batch.ts + shift)
    expected = folded(shifted.take(shifted.ts < now), timeframe)
    assert [one for one in told_candles if one.trade_count] == [one for one in expected if one.trade_count]


def folded(trades, timeframe):
    base = TIMEFRAMES["1s" if timeframe.name == "1s" else "1m"]
    if not len(trades):
        return []
    state, first = fold_trades(CandleFold.start(trades.instrument, base, 0), trades)
    candles = first.closed.candles() + flush(state)[1].closed.candles()
    if timeframe == base:
        return candles
    larger = []
    state = RollUp(timeframe)
    for candle in candles:
        state, closed = roll_up(state, candle)
        larger += closed
    return larger + ([state.forming] if state.forming else [])


@pytest.mark.parametrize(
    ("futures", "route", "name", "kind"),
    [
        (False, "", "btcusdt@trade", "trade"),
        (False, "", "btcusdt@kline_1s", "kline"),
        (False, "", "btcusdt@depth20@100ms", "partialDepth"),
        (False, "", "btcusdt@markPrice", None),
        (False, "", "BTCUSDT@trade", None),
        (False, "", "ethusdt@trade", None),
        (False, "", "btcusdt@kline_2m", None),
        (False, "", "btcusdt@kline_1d@+08:00", None),
        (False, "", "btcusdt@depth7", None),
        (False, "", "btcusdt@trade@100ms", None),
        (False, "", "0", None),
        (True, "market", "btcusdt@kline_1m", "kline"),
        (True, "market", "btcusdt@kline_1s", None),
        (True, "market", "btcusdt@markPrice@1s", "markPrice"),
        (True, "market", "btcusdt@bookTicker", None),
        (True, "public", "btcusdt@bookTicker", "bookTicker"),
        (True, "public", "btcusdt@aggTrade", None),
    ],
)
def test_a_name_is_a_stream_or_silent(futures, route, name, kind):
    instrument = PERP if futures else BTC
    exchange = exchange_of(batch_of([(1, 1, 1, 1)], instrument), instrument=instrument)
    stream = find(exchange, futures, route, name)
    assert (stream.kind if stream else None) == kind

"""Bars in, trades out, the very bars back."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candles import Candle
from core.errors import UserError
from core.instruments import Instrument
from core.timeframes import DAY, HOUR, TIMEFRAMES, timeframe
from simulator.tapes.bar_files import read_bars
from simulator.tapes.bars import Bars
from simulator.tapes.candle_tape import CandleTape
from simulator.tapes.tape import Tape

BTC = Instrument.parse("binance:BTC-USDT")
EPOCH = 1_736_121_600_000_000


@st.composite
def bars(draw: Any) -> Bars:
    """Any bars: sparse or dense, flat or wild, on any decimals, with hardly any volume or a lot."""
    frame = timeframe(draw(st.sampled_from(["1s", "1m", "5m", "1h", "1d", "1w"])))
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 2, 7, 250]), min_size=1, max_size=12))
    start = frame.floor(EPOCH) + np.cumsum(steps) * frame.micros
    price, size = 10 ** draw(st.integers(0, 4)), 10 ** draw(st.integers(0, 8))
    rows = []
    for _ in steps:
        low = draw(st.integers(1, 10**6))
        width = draw(st.sampled_from([0, 1, 2, 50, 10**6]))
        open_, close = (low + draw(st.integers(0, width)) for _ in range(2))
        volume = draw(st.integers(4, 40) | st.integers(4, 10**9))
        if width == 0:
            volume = draw(st.sampled_from([0, 1, volume]))
        rows.append((open_ / price, (low + width) / price, low / price, close / price, volume / size))
    return Bars(frame, start, *np.array(rows, dtype=np.float64).T)


def expected(one: Bars) -> dict[int, tuple[float, ...]]:
    columns = (one.open, one.high, one.low, one.close)
    rows = zip(one.start.tolist(), *(c.tolist() for c in columns), map(repr, one.volume.tolist()), strict=True)
    return {start: (*prices, Decimal(volume)) for start, *prices, volume in rows if Decimal(volume)}


def shown(candles: list[Candle]) -> dict[int, tuple[float, ...]]:
    return {c.start: (c.open, c.high, c.low, c.close, c.volume.normalize()) for c in candles if c.trade_count}


def normal(table: dict[int, tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
    return {start: (*row[:4], row[4].normalize()) for start, row in table.items()}


@settings(max_examples=80)
@given(bars(), st.integers(1, 30), st.integers(0, 5))
def test_trades_fold_to_the_very_bars(one: Bars, trades_per_bar: int, seed: int) -> None:
    tape: Tape = CandleTape({BTC: one}, seed, trades_per_bar)
    candles = tape.klines("BTCUSDT", one.timeframe.name, 0, one.end).candles()
    assert shown(candles) == normal(expected(one))
    (instrument,) = tape.instruments
    batches = tape.between(tape.start, tape.end or 0)
    if not batches:
        assert not one.volume.any()
        return
    (batch,) = batches
    assert (np.diff(batch.ids) == 1).all()
    assert batch.ids[0] == 1
    assert (np.diff(batch.ts) >= 0).all()
    assert (batch.ts % 1000 == 0).all()
    for column, step in ((batch.price, instrument.tick), (batch.size, instrument.lot)):
        assert step is not None
        assert all(Decimal(repr(value)) % step == 0 for value in column.tolist())
        assert column.min() > 0
    counts = np.bincount(np.searchsorted(one.start, batch.ts, side="right") - 1, minlength=len(one))
    assert (counts[one.volume > 0] >= 1).all()
    assert counts.max() <= max(trades_per_bar, 4)


@settings(max_examples=20)
@given(bars(), st.data())
def test_a_bar_has_the_same_trades_however_they_are_asked_for(one: Bars, data: Any) -> None:
    whole = CandleTape({BTC: one}, 3).from_time("BTCUSDT", 0, 2**62, 2**62)
    tape = CandleTape({BTC: one}, 3)
    for row in data.draw(st.permutations(range(len(one)))):
        start = int(one.start[row])
        part = tape.from_time("BTCUSDT", start, start + one.timeframe.micros, 10**6)
        inside = (whole.ts >= start) & (whole.ts < start + one.timeframe.micros)
        assert part.price.tolist() == whole.price[inside].tolist()
        assert part.ids.tolist() == whole.ids[inside].tolist()


def hours(n: int = 3, **other: Any) -> Bars:
    columns = {
        name: np.full(n, value)
        for name, value in zip(("open", "high", "low", "close", "volume"), (7.0, 9.0, 6.5, 8.0, 12.5), strict=True)
    }
    return Bars(TIMEFRAMES["1h"], EPOCH + np.arange(n) * HOUR, **(columns | other))


def test_a_path_walks_and_is_fixed_by_its_seed() -> None:
    def prices(seed: int) -> list[float]:
        return CandleTape({BTC: hours(1)}, seed, 500).from_id("BTCUSDT", 0, 1000, 2**62).price.tolist()

    once = prices(1)
    assert once == prices(1) != prices(2)
    assert len(set(once)) > 15
    assert np.abs(np.diff(once)).max() < 1.5


def test_steps_are_those_of_the_instrument_or_the_finest_of_the_bars() -> None:
    (found,) = CandleTape({BTC: hours()}).instruments
    assert (found.native, found.tick, found.lot) == ("BTCUSDT", Decimal("0.1"), Decimal("0.1"))
    (named,) = CandleTape({replace(BTC, tick=Decimal("0.5"), lot=Decimal("0.25")): hours()}).instruments
    assert (named.tick, named.lot) == (Decimal("0.5"), Decimal("0.25"))
    # One lot cannot be four trades: the lot becomes finer.
    (finer,) = CandleTape({BTC: hours(volume=np.full(3, 0.1))}).instruments
    assert finer.lot == Decimal("0.01")


@pytest.mark.parametrize(
    ("steps", "other"),
    [
        ({"tick": Decimal("0.2"), "lot": None}, {}),
        ({"tick": None, "lot": Decimal(1)}, {}),
        ({"tick": None, "lot": Decimal("12.5")}, {}),
        ({"tick": Decimal("1e-19"), "lot": None}, {}),
        ({"tick": None, "lot": None}, {"volume": np.full(3, 0.1 + 0.2)}),
    ],
)
def test_bars_off_the_steps_are_refused(steps: dict[str, Any], other: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        CandleTape({replace(BTC, **steps): hours(**other)})


@pytest.mark.parametrize(
    "broken",
    [
        {"open": np.full(3, 9.5)},
        {"close": np.full(3, 6.0)},
        {"low": np.array([6.5, np.nan, 6.5])},
        {"low": np.full(3, -1.0)},
        {"volume": np.zeros(3)},
        {"start": EPOCH + np.array([0, 0, 1]) * HOUR},
        {"start": EPOCH + np.array([0, 2, 1]) * HOUR},
        {"start": EPOCH + np.arange(3) * HOUR + 1},
        {"timeframe": TIMEFRAMES["1M"]},
    ],
)
def test_bars_that_contradict_themselves_are_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        replace(hours(), **broken)


def test_absent_bars_are_flat_candles_and_several_instruments_play_together() -> None:
    sparse = replace(hours(), start=EPOCH + np.array([0, 3, 4]) * HOUR)
    eth = Instrument.parse("binance:ETH-USDT")
    tape = CandleTape({BTC: sparse, eth: hours()})
    candles = tape.klines("BTCUSDT", "1h", EPOCH, EPOCH + 5 * HOUR).candles()
    assert [(c.start - EPOCH) // HOUR for c in candles] == [0, 1, 2, 3, 4]
    assert [(c.open, c.close, c.trade_count > 0) for c in candles[:3]] == [(7.0, 8.0, True)] + [(8.0, 8.0, False)] * 2
    assert {batch.instrument for batch in tape.between(EPOCH, EPOCH + HOUR)} == {BTC.name, eth.name}
    assert [one.instrument for one in tape.between(EPOCH + HOUR, EPOCH + 3 * HOUR)] == [eth.name]


@pytest.mark.sample
@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("lean_coinbase_minute_btcusd_20161007_trade.zip", "1m"),
        ("lean_coinbase_second_btcusd_20161007_trade.zip", "1s"),
        ("lean_binance_hour_btcusdt_trade.zip", "1h"),
        ("lean_coinbase_daily_btcusd_trade.zip", "1d"),
        ("lean_binance_minute_btcbusd_20221213_trade.zip", "1m"),
    ],
)
def test_real_bars_come_back(sample: Path, name: str, frame: str) -> None:
    one = read_bars([sample / "candles" / name])
    assert one.timeframe.name == frame
    tape = CandleTape({BTC: one})
    found = shown(tape.klines("BTCUSDT", frame, tape.start, tape.end or 0).candles())
    assert found == normal(expected(one))
    assert len(found) > 100


@pytest.mark.sample
def test_seconds_play_to_the_minutes_of_the_same_market(sample: Path) -> None:
    folder = sample / "candles"
    seconds = CandleTape({BTC: read_bars([folder / "lean_coinbase_second_btcusd_20161007_trade.zip"])})
    minutes = read_bars([folder / "lean_coinbase_minute_btcusd_20161007_trade.zip"])
    found = shown(seconds.klines("BTCUSDT", "1m", seconds.start // DAY * DAY, seconds.end or 0).candles())
    assert found == normal(expected(minutes))


@pytest.mark.parametrize("unit", [1_000_000, 1_000, 1, "text"])
def test_bars_are_read_from_csv_and_parquet(tmp_path: Path, unit: Any) -> None:
    one = hours()
    start = one.start // unit if unit != "text" else np.datetime_as_string(one.start.astype("datetime64[us]"))
    names = ("open", "high", "low", "close", "volume")
    table = pl.DataFrame({"start": start, **{name: getattr(one, name) for name in names}})
    table.reverse().write_csv(tmp_path / "bars.csv")
    table.write_parquet(tmp_path / "bars.parquet")
    for name in ("bars.csv", "bars.parquet"):
        read = read_bars([tmp_path / name])
        assert read.timeframe == one.timeframe
        assert all(np.array_equal(getattr(read, column), getattr(one, column)) for column in ("start", *names))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "start,open,high,low,close\n1,1,1,1,1",
        "start,open,high,low,close,volume\n1736121600,1,1,x,1,1",
        "\x00\xff",
    ],
)
def test_files_that_hold_no_bars_are_refused(tmp_path: Path, text: str) -> None:
    for name in ("bad.csv", "bad.parquet", "bad.zip"):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError):
            read_bars([tmp_path / name], TIMEFRAMES["1m"])
    with pytest.raises(UserError):
        read_bars([tmp_path / "missing.csv"])


def test_times_that_tell_no_timeframe_need_one(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("start,open,high,low,close,volume\n1736121600,1,1,1,1,1\n1736122020,1,1,1,1,1\n")
    with pytest.raises(UserError, match="name it"):
        read_bars([path])
    assert len(read_bars([path], TIMEFRAMES["1m"])) == 2
    with pytest.raises(UserError, match="at least one"):
        read_bars([])

"""Warm runs: what a venue tells of the time before the recording, joined with what the lake knows."""

import math
import shutil
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.candles import Candle
from core.records import Kind, Record, RecordBlock, VenueCandles
from core.settings import StrategySettings
from core.timeframes import MINUTE
from dataflows import warm_up
from dataflows.decode import Arrivals, Decoder, Quarantined
from dataflows.system import opened

sys.path.insert(0, str(Path(__file__).parent))
from rows import everything
from test_market_laws import NAME, T0, feed, replace_strategies, trades
from worker import settings_of, work_off


def candle(start: int, close: float = 100.0) -> Candle:
    return Candle(
        NAME, "1m", start, close, close, close, close, Decimal(1), Decimal(100), 1, Decimal(0), complete=True
    )


def told(closes: list[float], end: int = T0) -> VenueCandles:
    first = end - len(closes) * MINUTE
    rows = [
        (first + i * MINUTE, str(close), str(close), str(close), str(close), "1", str(close), 1, "0.5")
        for i, close in enumerate(closes)
    ]
    return VenueCandles(NAME, "1m", rows)


@given(venue=st.integers(0, 30), lake=st.integers(0, 30), overlap=st.integers(0, 30), count=st.integers(1, 40))
def test_the_past_is_the_newest_candles_each_once_the_lakes_first(venue, lake, overlap, count):
    before = T0
    stored = [candle(before - (lake - i) * MINUTE, 1.0) for i in range(lake)]
    end = before - (lake - min(overlap, lake)) * MINUTE
    heard = [candle(end - (venue - i) * MINUTE, 2.0) for i in range(venue)]
    past = warm_up.join(heard, stored, before, count)
    starts = [one.start for one in past.candles]
    assert starts == sorted(set(starts))
    assert len(starts) == past.venue + past.lake <= count
    assert past.lake == min(lake, count)
    assert [one for one in past.candles if one.close == 1.0] == stored[lake - past.lake :]
    # Nothing newer was left out for something older.
    known = {one.start for one in (*heard, *stored)}
    assert set(starts) == set(sorted(known)[-len(starts) :] if starts else [])


def strategies_of(data, length=14):
    return settings_of(data).model_copy(
        update={"strategies": (StrategySettings(name="rsi", params={"length": length}),)}
    )


WALK = [100 + 5 * math.sin(i / 7) for i in range(400)]


def minutes(first: int, closes: list[float]):
    return [(first + i, i * 60.0, round(close, 2)) for i, close in enumerate(closes)]


def test_a_run_warmed_by_the_venue_decides_from_its_first_candle_and_is_the_same_when_built_again(tmp_path):
    closes = [round(close, 2) for close in WALK]
    past = told(closes[:200]).record(T0)
    live = trades(minutes(1, closes[200:]))
    rows = {}
    for name, records in (("cold", [live]), ("warm", [past, live])):
        settings = strategies_of(tmp_path / name)
        with opened(settings, "test") as system:
            feed(system, records)
            work_off(system, 8_192, 0.2)
            if name == "warm":
                warmed = system.ledger.warmed()
        rows[name] = everything(settings)
    assert list(warmed.values()) == [(140, 0)]
    first = {
        name: min(text.split("start=")[1].split(",")[0] for _, text in found["signals"])
        for name, found in rows.items()
    }
    assert first["warm"] < first["cold"]
    # Built again from the journal alone, in the lake that is there by now, it decides the same.
    shutil.rmtree(tmp_path / "warm" / "recovery")
    with opened(strategies_of(tmp_path / "warm"), "test") as system:
        work_off(system, 37, 0.05)
    assert everything(strategies_of(tmp_path / "warm")) == rows["warm"]


def test_a_run_without_strategy_keeps_nothing_of_the_past(tmp_path):
    settings = replace_strategies(settings_of(tmp_path))
    with opened(settings, "test") as system:
        feed(system, [told([1.0, 2.0]).record(T0), trades(minutes(1, WALK[:5]))])
        work_off(system, 8_192, 0.2)
        assert system.ledger.runs() == {}


def decode(payload: bytes) -> list:
    block = RecordBlock.of("test", 0, [Record(Kind.CANDLES, T0, payload)])
    return Decoder({"test": "binance"})(None, block)[1]


def test_candles_of_a_venue_arrive_at_their_instrument():
    given_ = told([1.5, 2.5])
    assert decode(msgspec.json.encode(given_))[0] == Arrivals("test", NAME, 0, event=given_)


@pytest.mark.parametrize(
    "spoilt",
    [
        b"{}",
        b"[1",
        msgspec.json.encode(msgspec.structs.replace(told([1.0]), instrument="../x")),
        msgspec.json.encode(msgspec.structs.replace(told([1.0]), timeframe="7m")),
        msgspec.json.encode(told([1.0])).replace(b'"1.0"', b'"NaN"', 1),
        msgspec.json.encode(told([1.0])).replace(b'"1.0"', b'"1e999"'),
        msgspec.json.encode(told([1.0])).replace(b'"1.0"', b'"-1"'),
        msgspec.json.encode(told([1.0])).replace(b'"1.0"', b'"0.5"', 1).replace(b'"1.0"', b'"0.1"', 1),
        msgspec.json.encode(told([1.0])).replace(b'"1"', b'"one"', 1),
    ],
)
def test_candles_that_cannot_be_read_are_set_aside(spoilt):
    found = decode(spoilt)
    assert isinstance(found[0], Quarantined)

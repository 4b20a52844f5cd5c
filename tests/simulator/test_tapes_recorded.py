"""Recordings and files of trades as tapes."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import UserError
from core.instruments import Instrument
from core.timeframes import HOUR, MINUTE
from core.trades import TradeBatch
from exchanges.registry import venue
from simulator.disturbance import Disturbance
from simulator.frames import invent, write_recording
from simulator.listing import LISTINGS
from simulator.market import START, InventedMarket
from simulator.tapes.recorded import from_recordings, from_trade_files
from simulator.tapes.tape import Tape

SIMULATED = venue("simulated")


def same(one: TradeBatch, other: TradeBatch) -> bool:
    """Tell whether two batches hold the same trades; a recording keeps no more of receipt than its lines."""
    columns = ("ids", "ts", "price", "size", "side", "fills")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in columns)


def test_a_recording_plays_the_market_that_was_recorded(tmp_path: Path, gather: Any) -> None:
    made = invent(tmp_path / "market.ws.gz", seed=4, duration=12 * MINUTE)
    tape: Tape = from_recordings([made.path], SIMULATED)
    truth = gather(InventedMarket(4), 12 * MINUTE)
    assert {one.name: one.native for one in tape.instruments} == {
        one.instrument.name: one.instrument.native for one in LISTINGS
    }
    for batch in tape.between(tape.start, tape.end or 0):
        assert same(batch, truth[batch.instrument])
    assert {(one.name, one.tick, one.lot) for one in tape.instruments} == {
        (one.instrument.name, one.instrument.tick, one.instrument.lot) for one in LISTINGS
    }


def test_duplicates_are_dropped_order_is_mended_and_holes_stay(tmp_path: Path, gather: Any) -> None:
    disturbance = Disturbance(2, hole=0.002, duplicate=0.05, reorder=0.05, late=0.02, garbage=0.01)
    made = write_recording(tmp_path / "bad.ws", InventedMarket(4), START, 5 * MINUTE, disturbance)
    assert made.truth.dropped
    assert made.truth.duplicated
    tape = from_recordings([made.path, made.path], SIMULATED)
    for name, batch in gather(InventedMarket(4), 5 * MINUTE).items():
        dropped = [trade_id for instrument, trade_id in made.truth.dropped if instrument == name]
        left = batch.take(~np.isin(batch.ids, dropped))
        native = Instrument.parse(name).base + "USDT"
        assert same(tape.from_time(native, 0, 2**62, 10**6), left)
        assert same(tape.from_id(native, 0, 10**6, 2**62), left)


def test_named_instruments_keep_their_steps(tmp_path: Path) -> None:
    made = invent(tmp_path / "market.ws", seed=4, duration=MINUTE)
    named = replace(LISTINGS[0].instrument, tick=Decimal("0.001"))
    tape = from_recordings([made.path], SIMULATED, [named])
    assert named in tape.instruments


def test_trades_go_before_aggregates_of_the_same_instrument(tmp_path: Path) -> None:
    made = invent(tmp_path / "a.ws", seed=4, duration=MINUTE, instruments=LISTINGS[:1])
    aggregate = (
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1736121600001,"s":"BTCUSDT","a":5,"p":"1.00000000",'
        '"q":"1.00000000","f":1,"l":2,"T":1736121600001,"m":false,"M":true}}\n'
    )
    (tmp_path / "b.ws").write_text(aggregate)
    both = from_recordings([made.path, tmp_path / "b.ws"], SIMULATED)
    assert {b.id_space for b in both.between(0, 2**62)} == {"trade"}
    (alone,) = from_recordings([tmp_path / "b.ws"], SIMULATED).between(0, 2**62)
    assert (alone.id_space, alone.fills.tolist()) == ("aggregate", [2])


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_files_of_trades_play(tmp_path: Path, gather: Any, suffix: str) -> None:
    truth = gather(InventedMarket(4, LISTINGS[:1]), 3 * MINUTE)["simulated:BTC-USDT"]
    table = pa.table(
        {"id": truth.ids, "time": truth.ts, "price": truth.price, "size": truth.size}
        | {"side": ["buy" if side > 0 else "sell" for side in truth.side.tolist()]}
    )
    path = tmp_path / f"trades.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        path.write_text(
            "\n".join([",".join(table.column_names), *(",".join(map(repr, row)).replace("'", "") for row in rows)])
        )
    tape = from_trade_files([path], Instrument.parse("simulated:BTC-USDT"))
    (one,) = tape.instruments
    assert (one.native, one.tick, one.lot) == ("BTCUSDT", Decimal("0.01"), Decimal("0.00001"))
    assert same(tape.from_time("BTCUSDT", 0, 2**62, 10**6), truth)


def test_what_holds_no_trades_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.ws").write_text('{"result":null,"id":1}\n')
    with pytest.raises(UserError, match="no trades"):
        from_recordings([tmp_path / "none.ws"], SIMULATED)
    with pytest.raises(UserError, match="cannot read"):
        from_recordings([tmp_path / "missing.ws"], SIMULATED)
    with pytest.raises(UserError):
        from_trade_files([tmp_path / "none.ws"], Instrument.parse("simulated:BTC-USDT"))


@pytest.mark.sample
def test_the_captured_trades_play_whole(sample: Path) -> None:
    paths = [sample / "trades" / f"binance_spot_btcusdt_2024080{day}.ws.gz" for day in (9, 8)]
    tape = from_recordings(paths, venue("binance"))
    (btc,) = tape.instruments
    assert (btc.name, btc.native, btc.tick, btc.lot) == (
        "binance:BTC-USDT",
        "BTCUSDT",
        Decimal("0.01"),
        Decimal("0.00001"),
    )
    trades = tape.from_id("BTCUSDT", 0, 10**6, 2**62)
    assert len(trades) == 19_904
    assert (np.diff(trades.ids) == 1).all()
    candles = tape.klines("BTCUSDT", "1m", tape.start, tape.end or 0)
    assert candles.trade_count.sum() == 19_904 - (trades.ts < candles.start[0]).sum()


@pytest.mark.sample
def test_a_captured_file_of_trades_plays_with_its_holes(sample: Path) -> None:
    path = sample / "trades" / "binance_spot_ltcusdt_20250621_trades.parquet"
    tape = from_trade_files([path], Instrument.parse("binance:LTC-USDT"))
    trades = tape.from_id("LTCUSDT", 0, 10**6, 2**62)
    assert len(trades) == 53_325
    assert (np.diff(trades.ids) > 1).any()
    assert tape.klines("LTCUSDT", "1h", tape.start - HOUR, tape.end or 0).trade_count.sum() == trades.fills.sum()

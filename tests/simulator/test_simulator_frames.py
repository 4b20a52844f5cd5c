import gzip
import json
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.timeframes import HOUR, MINUTE
from simulator.frames import frames, invent, write_recording
from simulator.listing import LISTINGS
from simulator.market import START, InventedMarket

SAMPLE = Path(os.environ.get("TIDEMILL_SAMPLE", Path(__file__).parents[3] / "shared" / "sample"))
SHAPE: dict[str, Any] = {"e": str, "E": int, "s": str, "t": int, "p": str, "q": str, "T": int, "m": bool}
SHAPE["M"] = bool


def lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()


def test_frames_tell_the_trades_exactly(gather: Any) -> None:
    market = InventedMarket(2)
    native = {one.instrument.native: one.instrument for one in LISTINGS}
    told: dict[str, list[tuple[Any, ...]]] = {}
    for frame in frames(market, 12 * MINUTE):
        outer = json.loads(frame.payload)
        data = outer["data"]
        assert list(outer) == ["stream", "data"]
        assert {key: type(value) for key, value in data.items()} == SHAPE
        assert outer["stream"] == data["s"].lower() + "@trade"
        instrument = native[data["s"]]
        assert (frame.instrument, frame.trade_id, frame.ts) == (instrument.name, data["t"], data["T"] * 1000)
        assert data["T"] <= data["E"] <= frame.received / 1000
        for text in (data["p"], data["q"]):
            assert len(text.partition(".")[2]) == 8
        assert Decimal(data["p"]) % (instrument.tick or 0) == 0
        assert Decimal(data["q"]) % (instrument.lot or 0) == 0
        row = (data["t"], data["T"] * 1000, frame.received, float(data["p"]), float(data["q"]))
        told.setdefault(instrument.name, []).append((*row, -1 if data["m"] else 1))
    made = gather(InventedMarket(2), 12 * MINUTE)
    assert told.keys() == made.keys()
    for name, batch in made.items():
        assert told[name] == list(zip(*(column.tolist() for column in batch.columns()[:6]), strict=True))


def test_frames_come_in_the_order_of_event_time_and_of_receipt() -> None:
    rows = list(frames(InventedMarket(2), 12 * MINUTE))
    assert [row.ts for row in rows] == sorted(row.ts for row in rows)
    assert [row.received for row in rows] == sorted(row.received for row in rows)


@pytest.mark.sample
def test_frames_are_written_as_captured_ones_are() -> None:
    captured = SAMPLE / "trades" / "binance_spot_btcusdt_20240808.ws.gz"
    if not captured.exists():
        pytest.skip("the recorded market data is not here: set TIDEMILL_SAMPLE")
    real = next(line for line in lines(captured) if b'"btcusdt@trade"' in line)
    ours = next(row for row in frames(InventedMarket(1), MINUTE) if b"BTC" in row.payload).payload

    def values_out(text: bytes) -> str:
        outer = json.loads(text)
        data = outer["data"]
        assert json.dumps(outer, separators=(",", ":")).encode() == text
        return json.dumps(outer | {"data": {key: type(value).__name__ for key, value in data.items()}})

    assert values_out(ours) == values_out(real.partition(b" ")[2])


def test_a_recording_has_one_line_a_frame_and_the_same_bytes_again(tmp_path: Path) -> None:
    plain = invent(tmp_path / "a.ws", seed=4, duration=5 * MINUTE)
    again = invent(tmp_path / "b.ws", seed=4, duration=5 * MINUTE)
    zipped = invent(tmp_path / "a.ws.gz", seed=4, duration=5 * MINUTE)
    invent(tmp_path / "b.ws.gz", seed=4, duration=5 * MINUTE)
    assert plain.path.read_bytes() == again.path.read_bytes()
    assert zipped.path.read_bytes() == (tmp_path / "b.ws.gz").read_bytes()
    assert lines(zipped.path) == lines(plain.path)
    assert lines(plain.path) == [
        b"%d %b" % (row.received * 1000, row.payload) for row in frames(InventedMarket(4), 5 * MINUTE)
    ]
    assert plain.lines == len(lines(plain.path)) == sum(plain.trades.values())
    assert not plain.truth
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ws", "a.ws.gz", "b.ws", "b.ws.gz"]


def test_the_default_recording_has_three_instruments_and_three_hours(tmp_path: Path) -> None:
    made = invent(tmp_path / "market.ws.gz")
    assert 200_000 < made.lines < 400_000
    assert made.trades.keys() == {one.instrument.name for one in LISTINGS}
    times = [json.loads(line.partition(b" ")[2])["data"]["T"] for line in lines(made.path)[:: made.lines - 1]]
    assert times[0] - START // 1000 < 10_000
    assert (START + 3 * HOUR) // 1000 - times[-1] < 10_000


def test_a_recording_may_begin_later_than_its_market(tmp_path: Path) -> None:
    made = write_recording(tmp_path / "late.ws", InventedMarket(4), START + 2 * MINUTE, MINUTE)
    ids: Counter[str] = Counter()
    for line in lines(made.path):
        data = json.loads(line.partition(b" ")[2])["data"]
        assert START + 2 * MINUTE <= data["T"] * 1000 < START + 3 * MINUTE
        ids[data["s"]] += 1
    assert sum(ids.values()) == made.lines > 0


def test_a_refused_recording_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kept.ws"
    path.write_bytes(b"mine")
    for start, duration in ((START - 1, MINUTE), (START, 0)):
        with pytest.raises(UserError):
            write_recording(path, InventedMarket(4), start, duration)
    assert path.read_bytes() == b"mine"
    assert [one.name for one in tmp_path.iterdir()] == ["kept.ws"]
    with pytest.raises(UserError, match="cannot write"):
        invent(tmp_path / "missing" / "x.ws", duration=MINUTE)

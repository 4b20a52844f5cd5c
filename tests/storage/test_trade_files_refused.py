import gzip
import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from core.errors import UserError
from storage.trade_files import TradeFiles

T0 = 1_736_121_600_000_000  # 2025-01-06 00:00 UTC, in µs
BTC = "binance:BTC-USDT"
HEADER = "trade_id,timestamp,price,size,side"
ROW = "1,1736121600000,100.5,0.25,buy"
COLUMNS = {
    "trade_id": list(range(1, 301)),
    "ts": [T0 + n for n in range(300)],
    "price": [100 + n / 4 for n in range(300)],
    "size": [float(n + 1) for n in range(300)],
    "side": ["buy", "sell", "sell"] * 100,
}


def file(tmp_path: Path, content: str | bytes, name: str = "trades.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def count(*paths: Path, instrument: str = BTC) -> int:
    files = TradeFiles(paths, instrument)
    files.close()
    return files.count


def refused(path: Path, *said: str, instrument: str = BTC) -> None:
    with pytest.raises(UserError) as caught:
        count(path, instrument=instrument)
    text = str(caught.value)
    for part in said:
        assert part in text
    assert "\n" not in text
    assert len(text) < 700


BAD = {
    "price": [
        *("NaN", "inf", "-1", "0", "0.0", "", "1234567890.1234567", "12345678901234567890", "1,5", "abc", "1e13"),
        *("0x10", "1_000", "1e400", "0.1234567890123456789", "+1", "1e-19"),
    ],
    "size": ["nan", "-0.5", "0", "", "1234567890123456", "1e14", "--1"],
    "timestamp": ["0", "-1", "1", "yesterday", "", "99999999999999999999999", "2150-01-01T00:00:00Z", "NaN"],
    "trade_id": ["-1", "1.5", "", "x", "99999999999999999999", "1e3"],
    "side": ["hold", "", "0", "2", "buyer", "true"],
}


@pytest.mark.parametrize(("column", "value"), [(c, v) for c, values in BAD.items() for v in values])
def test_a_row_that_is_no_trade_is_refused(tmp_path, column, value):
    fields = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | {column: value}
    text = f"{HEADER}\n{ROW}\n" + ",".join(f'"{field}"' for field in fields.values())
    refused(file(tmp_path, text), "trades.csv" if column != "price" else "", "nothing was stored")


@pytest.mark.parametrize("price", [0.1 + 0.2, 1 / 3, float("nan"), float("inf"), -1.0, 0.0, 1e-19, 1e15])
def test_a_double_that_is_no_short_decimal_is_refused(tmp_path, price):
    path = tmp_path / "t.parquet"
    values = {"trade_id": [1, 2], "ts": [T0, T0], "price": [100.5, price], "size": [1.0, 1.0], "side": ["buy", "buy"]}
    pq.write_table(pa.table(values), path)
    refused(path, "nothing was stored")
    pq.write_table(pa.table({**values, "price": pa.array([100.5, 0.1], pa.float32())}), path)
    refused(path, "cannot be kept exactly")


def test_a_product_that_no_candle_could_sum_is_refused(tmp_path):
    refused(file(tmp_path, f"{HEADER}\n7,{T0},0.0000000001,0.000000001,buy"), "trade 7", "18 decimals")
    assert count(file(tmp_path, f"{HEADER}\n7,{T0},0.000000001,0.000000001,buy")) == 1
    refused(file(tmp_path, f"{HEADER}\n7,{T0},900000000000,9000000000,buy"), "no trade")


def test_times_that_are_none_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    for time in ([float("nan"), 1.0], [-(2**62), T0], [None, T0], [2**62, T0]):
        values = {"id": [2, 1], "time": time, "price": [1.5, 2.5], "size": [1.0, 1.0], "side": ["buy", "sell"]}
        pq.write_table(pa.table(values), path)
        refused(path, "nothing was stored")


def test_aggregates_that_stand_for_no_trade_are_refused(tmp_path):
    dump = "26129,0.016,4.7,27781,{last},1498793709153,true,true\n"
    refused(file(tmp_path, dump.format(last=27780)), "no trade", "fills 0")
    both = [file(tmp_path, dump.format(last=27781), "a"), file(tmp_path, f"{HEADER}\n{ROW}", "t")]
    assert [count(path) for path in both] == [1, 1]
    with pytest.raises(UserError, match="one kind at a time"):
        count(*both)


def test_columns_that_leave_a_choice_are_refused(tmp_path):
    refused(file(tmp_path, f"{HEADER},price\n{ROW},7"), "'price' twice", "remove one")
    refused(file(tmp_path, f"{HEADER},Price\n{ROW},7"), "'price' twice")
    refused(file(tmp_path, f"{HEADER[:-5]}\n1,{T0},1,1"), "what is missing: side: one of side, taker_side")
    refused(file(tmp_path, "open,high,low\n1,2,3"), "'open, high, low'", "price: one of")
    refused(file(tmp_path, "1,2,3\n"), "no line of column names", "3 columns")


def test_trades_of_several_instruments_are_not_one(tmp_path):
    mixed = f"symbol,{HEADER}\nBTCUSDT,{ROW}\nETHUSDT,{ROW}"
    refused(file(tmp_path, mixed), "several instruments (BTCUSDT, ETHUSDT)", "one at a time")
    one, two = (file(tmp_path, f"symbol,{HEADER}\n{s},{ROW}", s) for s in ("BTCUSDT", "ETHUSDT"))
    with pytest.raises(UserError, match="several instruments"):
        count(one, two)
    assert count(one) == 1
    own = file(tmp_path, f"instrument,{HEADER}\n{BTC},{ROW}")
    assert count(own) == 1
    refused(own, f"trades of {BTC}, not of binance:ETH-USDT", "--instrument", instrument="binance:ETH-USDT")


def test_a_file_that_is_cut_or_damaged_is_refused(tmp_path):
    table = pa.table(COLUMNS)
    text, out = io.BytesIO(), io.BytesIO()
    pa_csv.write_csv(table, text)
    packed = gzip.compress(text.getvalue())
    assert count(file(tmp_path, packed)) == 300
    for length in (*range(2, len(packed), 83), len(packed) - 8, len(packed) - 1):
        refused(file(tmp_path, packed[:length]), "middle of its gzip", "copy it again")
    pq.write_table(table, out)
    parquet = out.getvalue()
    assert count(file(tmp_path, parquet)) == 300
    for length in (4, 40, len(parquet) // 2, len(parquet) - 9, len(parquet) - 1):
        refused(file(tmp_path, parquet[:length]), "cannot read")
    damaged = bytearray(parquet)
    damaged[20:200] = bytes(180)
    refused(file(tmp_path, bytes(damaged)), "cannot read")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\x00\x01\x02" * 99, "neither Parquet nor CSV"),
        (b"\xff\xfe" + HEADER.encode("utf-16-le"), "neither Parquet nor CSV"),
        ("été,".encode("latin-1") + HEADER.encode(), "not UTF-8: convert it"),
        (f"{HEADER}\n{ROW}é\n".encode("latin-1"), "not utf-8"),
        (f"{HEADER}\n{ROW},9\n", "Expected Number of Columns: 5 Found: 6"),
        (f"{HEADER}\n{ROW}\n1,2\n", "Expected Number of Columns: 5 Found: 2"),
        (f'{HEADER}\n1,2,3,4,"buy\n', "unterminated quote"),
        (f"{HEADER}\n{ROW}\n{'x' * 5_000_000}\n", "cannot read"),
        (f"{HEADER}\n", "no trades"),
        ('{"e":"trade","t":1}\n', "what is missing"),
        (gzip.compress(b"", mtime=0), "is empty"),
    ],
)
def test_what_is_no_file_of_trades_is_refused(tmp_path, content, said):
    refused(file(tmp_path, content), said)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, said in (("pipe", "no regular file"), ("loop", "Too many levels"), ("absent", "No such file")):
        refused(tmp_path / name, said)
    refused(tmp_path, "is a folder")

import csv
import gzip
import io
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.trades import TradeBatch
from storage.trade_files import TradeFiles

T0 = 1_736_121_600_000_000  # 2025-01-06 00:00 UTC, in µs
BTC = "binance:BTC-USDT"
HEADER = "trade_id,timestamp,price,size,side"


def made(n: int = 300, step: int = 1_000_000, seed: int = 3) -> list[tuple[int, int, str, str, int]]:
    chosen, at, rows = random.Random(seed), T0, []
    for i in range(n):
        at += step * chosen.randrange(3)
        price, size = f"{chosen.randrange(1, 10**8) / 100:.2f}", f"{chosen.randrange(1, 10**9) / 10**5:.5f}"
        rows.append((1000 + i, at, price, size, chosen.choice((1, -1))))
    return rows


def table(columns: dict[str, list], delimiter: str = ",", header: bool = True) -> bytes:
    text = io.StringIO()
    out = csv.writer(text, delimiter=delimiter)
    if header:
        out.writerow(columns)
    out.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def columns(rows: list[tuple]) -> dict[str, list]:
    ids, ts, price, size, side = (list(column) for column in zip(*rows, strict=True))
    words = ["buy" if s > 0 else "sell" for s in side]
    return {"trade_id": ids, "timestamp": ts, "price": price, "size": size, "side": words}


def read(*paths: Path, instrument: str = BTC) -> TradeBatch:
    files = TradeFiles(paths, instrument)
    batches = list(files.batches())
    assert len(batches) == files.records
    files.close()
    return TradeBatch.concat(batches)


def rows_of(batch: TradeBatch) -> list[tuple]:
    return list(zip(*(c.tolist() for c in (batch.ids, batch.ts, batch.price, batch.size, batch.side)), strict=True))


def expected(rows: list[tuple]) -> list[tuple]:
    return sorted(((i, t, float(p), float(s), side) for i, t, p, s, side in rows), key=lambda r: (r[1], r[0]))


def file(tmp_path: Path, content: str | bytes, name: str = "trades.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_csv(rows):
    return table(columns(rows))


def as_tabs(rows):
    return b"\xef\xbb\xbf" + table(columns(rows), delimiter="\t").replace(b"\r\n", b"\n").rstrip()


def as_gzip(rows):
    return gzip.compress(as_csv(rows))


def as_other_names(rows):
    ids, ts, price, size, side = columns(rows).values()
    makers = ["False" if s == "buy" else "True" for s in side]
    return table({"isBuyerMaker": makers, "Qty": size, "Price": price, "x": ids, "Time": ts, "Id": ids})


def as_json_names(rows):
    ids, ts, price, size, side = columns(rows).values()
    makers = [str(s == "sell").lower() for s in side]
    return table({"e": ts, "t": ids, "p": price, "q": size, "T": ts, "m": makers, "M": ts})


def as_dump(rows):
    ids, ts, price, size, side = columns(rows).values()
    makers = [s == "sell" for s in side]
    return table(dict(zip("abcdefg", (ids, price, size, size, ts, makers, makers), strict=True)), header=False)


def as_parquet(rows):
    ids, ts, price, size, side = columns(rows).values()
    out = io.BytesIO()
    numbers = {"price": [float(p) for p in price], "size": [float(s) for s in size]}
    times = pa.array(ts, pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"trade_id": ids, "ts": times, **numbers, "side": side}), out)
    return out.getvalue()


def as_decimals(rows):
    ids, ts, price, size, side = zip(*rows, strict=True)
    out = io.BytesIO()
    money = {name: pa.array(v).cast(pa.decimal128(38, 10)) for name, v in {"price": price, "size": size}.items()}
    sides = pa.array(side, pa.int8())
    naive = pa.array([t * 1000 for t in ts], pa.timestamp("ns"))
    pq.write_table(pa.table({"id": [float(i) for i in ids], "time": naive, **money, "side": sides}), out)
    return out.getvalue()


FORMS = (as_csv, as_tabs, as_gzip, as_other_names, as_json_names, as_dump, as_parquet, as_decimals)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_gives_the_same_trades(tmp_path, form):
    rows = made()
    shuffled = random.Random(1).sample(rows, len(rows))
    assert rows_of(read(file(tmp_path, form(shuffled), "trades"))) == expected(rows)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("trades")


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 2), min_size=40, max_size=40),
    st.permutations([as_csv, as_gzip, as_parquet]),
    st.randoms(use_true_random=False),
)
def test_neither_the_order_of_rows_nor_of_files_matters(scratch, places, forms, chosen):
    rows = made(40)
    chosen.shuffle(rows)
    parts = [[row for row, place in zip(rows, places, strict=True) if place == n] for n in range(3)]
    paths = [
        file(scratch, form(part), f"part{n}") for n, (form, part) in enumerate(zip(forms, parts, strict=True)) if part
    ]
    chosen.shuffle(paths)
    assert rows_of(read(*paths)) == expected(rows)


@settings(max_examples=20)
@given(st.integers(1_230_768_000, 4_102_444_799), st.integers(0, 999_999))
def test_times_are_understood_in_every_unit(scratch, second, micro):
    at = second * 1_000_000 + micro
    whole = at // 1000 * 1000
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    written = {
        str(second): second * 1_000_000,
        f"{second}.{micro:06}": at,
        str(at // 1000): whole,
        f"{at / 1000:.3f}": at,
        str(at): at,
        f"{at}789": at,
        utc.isoformat(): at,
        utc.strftime("%Y-%m-%d %H:%M:%S.%f"): at,
        utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ"): at,
        (utc + timedelta(hours=2)).strftime("%Y-%m-%d %H:%M:%S.%f+02:00"): at,
    }
    lines = [HEADER, *(f"{n},{text},1,1,buy" for n, text in enumerate(written, 1))]
    batch = read(file(scratch, "\n".join(lines), "times.csv"))
    assert dict(zip(batch.ids.tolist(), batch.ts.tolist(), strict=True)) == dict(enumerate(written.values(), 1))


@pytest.mark.parametrize("unit", [1.0, 1e3, 1e6, 1e9])
def test_times_may_be_doubles(tmp_path, unit):
    path = tmp_path / "t.parquet"
    times = [(T0 / 1e6 + 0.25) * unit, T0 / 1e6 * unit]
    values = {"id": [2, 1], "time": times, "price": [1.5, 2.5], "size": [1.0, 1.0], "side": ["buy", "sell"]}
    pq.write_table(pa.table(values), path)
    assert read(path).ts.tolist() == [T0, T0 + 250_000]


decimals = st.decimals(min_value="0.0000001", max_value="999999", allow_nan=False, places=7)


@settings(max_examples=15)
@given(st.lists(st.tuples(decimals, st.integers(0, 6)), min_size=1, max_size=50))
def test_a_price_survives_to_its_last_digit(scratch, prices):
    lines = [f"{n},{T0},00{price:f}{'0' * zeros},0.001,sell" for n, (price, zeros) in enumerate(prices)]
    found = read(file(scratch, "\n".join([HEADER, *lines]), "price.csv")).price.tolist()
    assert found == [float(price) for price, _ in prices]
    assert [f"{price:.7f}" for price in found] == [f"{price:.7f}" for price, _ in prices]


@pytest.mark.parametrize(
    ("price", "value"),
    [("100.50000000000000000000", 100.5), ("1e-05", 0.00001), ("1.25E3", 1250.0), (" 7.5 ", 7.5), ("000001.5", 1.5)],
)
def test_ways_to_write_a_number(tmp_path, price, value):
    assert read(file(tmp_path, f"{HEADER}\n1,{T0},{price},1,buy")).price.tolist() == [value]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("side", {"buy": 1, "SELL": -1, "b": 1, "S": -1, "1": 1, "-1": -1, "Bid": 1, "ask": -1}),
        ("taker_side", {" Buy ": 1, "sell": -1}),
        ("is_buyer_maker", {"true": -1, "False": 1, "1": -1, "0": 1}),
        ("isBuyerMaker", {"TRUE": -1, "f": 1}),
        ("m", {"true": -1, "false": 1}),
    ],
)
def test_side_is_that_of_the_taker(tmp_path, name, words):
    lines = [f"id,time,price,qty,{name}", *(f"{n},{T0},1,1,{word}" for n, word in enumerate(words))]
    assert read(file(tmp_path, "\n".join(lines))).side.tolist() == list(words.values())


def test_aggregates_say_for_how_many_trades_they_stand(tmp_path):
    dump = (
        "26129,0.016,4.7,27781,27783,1498793709153,true,true\n26130,0.017,1.0,27784,27784,1498793709154,false,true\n"
    )
    named = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n" + dump.replace(
        ",true\n", "\n"
    )
    for text in (dump, named):
        files = TradeFiles([file(tmp_path, text)], BTC)
        (batch,) = files.batches()
        files.close()
        assert files.id_space == batch.id_space == "aggregate"
        assert batch.ids.tolist() == [26129, 26130]
        assert batch.fills.tolist() == [3, 1]
        assert batch.side.tolist() == [-1, 1]


@pytest.mark.parametrize(
    "name",
    ["it's.csv", "x[1].csv", "x*.csv", "x?.csv", "a'; DROP VIEW file0; --", 'q".csv', "день.csv", "price=9", "{a,b}"],
)
def test_a_name_is_a_name(tmp_path, name):
    for other in ("x1.csv", "xy.csv", "a", "b"):
        file(tmp_path, "no,trades\n1,2\n", other)
    rows = made(5)
    assert rows_of(read(file(tmp_path, as_csv(rows), name))) == expected(rows)
    assert rows_of(read(file(tmp_path, as_parquet(rows), name))) == expected(rows)
    folder = tmp_path / f"f{name}"
    folder.mkdir()
    assert rows_of(read(file(folder, as_csv(rows)))) == expected(rows)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_other_columns_may_have_any_name(tmp_path, form):
    rows = made(5)
    odd = ['a"b', "it's", 'x"); DROP VIEW file0; --', "", "price ; size", "日本", "Price2"]
    values = columns(rows) | {name: ["1;'\""] * 5 for name in odd}
    path = tmp_path / f"t.{form}"
    if form == "csv":
        path.write_bytes(table(values))
    else:
        pq.write_table(pa.table(values), path)
    assert rows_of(read(path)) == expected(rows)


def test_nothing_is_left_in_the_current_folder(tmp_path, monkeypatch):
    path = file(tmp_path, as_csv(made()))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    read(path)
    assert list((tmp_path / "here").iterdir()) == []


def test_a_capture_of_trades_with_holes(sample):
    (path,) = (sample / "trades").glob("*.parquet")
    batch = read(path, instrument="binance:LTC-USDT")
    assert len(batch) == len(np.unique(batch.ids)) == 53_325
    assert np.count_nonzero(np.diff(np.sort(batch.ids)) > 1) == 16
    assert (np.diff(batch.ts) >= 0).all()

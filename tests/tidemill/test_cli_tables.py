import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.results import write_csv, write_json, write_parquet, write_table
from tidemill.tables import decimal_text, size, table, text

SCHEMA = pa.schema(
    [
        ("instrument", pa.string()),
        ("ts", pa.timestamp("us", "UTC")),
        ("volume", pa.decimal128(38, 18)),
        ("price", pa.float64()),
        ("count", pa.int64()),
        ("complete", pa.bool_()),
    ]
)
EARLY, LATE = (datetime(year, 1, 1) for year in (1900, 2100))  # noqa: DTZ001 - hypothesis adds the zone
decimals = st.decimals(min_value=-(10**19), max_value=10**19, places=18, allow_nan=False)
row = st.tuples(
    st.none() | st.text(max_size=12),
    st.none() | st.datetimes(min_value=EARLY, max_value=LATE, timezones=st.just(UTC)),
    st.none() | decimals,
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.booleans(),
)


def reader(rows: list[tuple[object, ...]], batch: int = 3) -> pa.RecordBatchReader:
    columns = [pa.array([r[i] for r in rows], type=field.type) for i, field in enumerate(SCHEMA)]
    return pa.Table.from_arrays(columns, schema=SCHEMA).to_reader(batch)


@given(decimals | st.decimals(allow_nan=False, allow_infinity=False, places=30, min_value=-1, max_value=1))
def test_a_decimal_is_exact_and_short(value: Decimal) -> None:
    written = decimal_text(value)
    assert Decimal(written) == value
    assert "E" not in written
    assert "." not in written or not written.endswith(("0", "."))


@given(st.lists(row, max_size=8))
def test_json_holds_every_value(rows: list[tuple[object, ...]]) -> None:
    out = io.StringIO()
    write_json(reader(rows), out)
    read = json.loads(out.getvalue(), parse_float=Decimal)
    assert len(read) == len(rows)
    for said, meant in zip(read, rows, strict=True):
        assert list(said) == SCHEMA.names
        assert (said["instrument"], said["count"], said["complete"]) == (meant[0], meant[4], meant[5])
        assert said["volume"] == meant[2]
        assert said["price"] is None or float(said["price"]) == meant[3]
        assert (None if said["ts"] is None else datetime.fromisoformat(said["ts"])) == meant[1]


@given(st.lists(row, max_size=8))
def test_csv_holds_every_value(rows: list[tuple[object, ...]]) -> None:
    out = io.StringIO(newline="")
    write_csv(reader(rows), out)
    header, *read = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert header == SCHEMA.names
    for said, meant in zip(read, rows, strict=True):
        assert said[0] == (meant[0] or "")
        assert said[1] == "" if meant[1] is None else datetime.fromisoformat(said[1]) == meant[1]
        assert said[2] == "" if meant[2] is None else Decimal(said[2]) == meant[2]
        assert said[3] == "" if meant[3] is None else float(said[3]) == meant[3]


@given(st.lists(row, max_size=8))
def test_a_table_has_a_line_a_row_and_no_control_characters(rows: list[tuple[object, ...]]) -> None:
    out = io.StringIO()
    write_table(reader(rows), out)
    lines = out.getvalue().split("\n")
    assert len(lines) == len(rows) + 4
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for line in lines for c in line)


def test_numbers_stand_right_and_texts_left() -> None:
    drawn = table(["name", "volume"], [["a", Decimal("1.500")], ["bcdef", Decimal("10")]])
    assert drawn == "name   volume\n─────  ──────\na         1.5\nbcdef      10"


words = st.text("abc:-é", min_size=1, max_size=12)
cells = st.lists(words, max_size=20).map(" ".join) | st.integers(-(10**9), 10**9) | st.none()


@given(st.integers(24, 120), st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5))
def test_a_table_fits_the_terminal_and_breaks_no_word(width: int, rows: list[tuple[object, ...]]) -> None:
    drawn = table(("some_name", "b_c", "d"), rows, width, widest=300)
    lines = drawn.split("\n")
    assert max(map(len, lines)) <= width
    if "\n(a wider" in drawn:
        return
    shown = {word for line in lines for word in line.split()}
    assert {word for row in rows for cell in row if cell is not None for word in str(cell).split()} <= shown


def test_what_is_too_wide_is_folded_between_words_and_spare_columns_go_first() -> None:
    head = ("component", "pid", "restart_count", "why")
    row = ("market", 4711, 3, "the lake has taken nothing for 30 s")
    assert table(head, [row], 40) == (
        "component   pid  restart_  why\n"
        "                    count\n"
        "─────────  ────  ────────  ─────────────\n"
        "market     4711         3  the lake has\n"
        "                           taken nothing\n"
        "                           for 30 s"
    )
    narrow = table(head, [row], 34, spare=("pid",)).split("\n")
    assert narrow[0] == "component  restart_  why"
    assert narrow[-1] == "(a wider terminal shows also: pid)"
    assert "why" not in table(head, [row], 20).split("\n")[0]


def test_a_word_that_is_longer_than_all_is_broken_and_nothing_of_it_is_lost() -> None:
    lines = table(("path",), [("/some" * 12,)], 30).split("\n")[2:]
    assert max(map(len, lines)) <= 30
    assert "".join(lines) == "/some" * 12


def test_a_list_of_choices_is_folded_between_them() -> None:
    choices = "kline_" + "|".join(f"{n}m" for n in range(10, 24))
    lines = table(("channels",), [(choices,)], 30).split("\n")[2:]
    assert all(line.endswith("m|") for line in lines[:-1])
    assert "".join(lines) == choices


def test_a_long_table_is_cut_and_says_so() -> None:
    out = io.StringIO()
    write_table(reader([("x", None, None, None, i, None) for i in range(25)]), out, cap=4)
    assert "(25 rows; the first 4 are shown" in out.getvalue()
    assert out.getvalue().count("\nx") == 4


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (True, "true"),
        (Decimal("0E-18"), "0"),
        (Decimal("1E+3"), "1000"),
        (datetime(2025, 1, 6, tzinfo=UTC), "2025-01-06 00:00:00"),
        (b"\x00\xff", "\\x00ff"),
        ("\x1b[31mred\n", "\\x1b[31mred\\x0a"),
        ([1, None, Decimal("2.50")], "[1, , 2.5]"),
        ({"a": 1}, "{a: 1}"),
    ],
)
def test_values_as_a_person_reads_them(value: object, written: str) -> None:
    assert text(value) == written


@pytest.mark.parametrize(
    ("number", "written"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5.0 TiB")]
)
def test_sizes(number: int, written: str) -> None:
    assert size(number) == written


def test_far_times_do_not_end_the_output() -> None:
    far = pa.record_batch([pa.array([2**63 - 1, 0]).cast(pa.timestamp("us", "UTC"))], names=["ts"])
    for write in (write_table, write_csv, write_json):
        out = io.StringIO()
        write(pa.RecordBatchReader.from_batches(far.schema, [far]), out)
        assert f"{2**63 - 1} µs" in out.getvalue()


def test_parquet_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [("x", datetime(2025, 1, 6, tzinfo=UTC), Decimal("1.5"), 2.5, 3, True)] * 7
    write_parquet(reader(rows), tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 7

    def broken():
        yield next(iter(reader(rows)))
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError):
        write_parquet(pa.RecordBatchReader.from_batches(SCHEMA, broken()), tmp_path / "half.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]

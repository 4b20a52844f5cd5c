import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pytest
from pydantic import SecretStr

from core.candles import CandleBatch
from core.errors import TransientError, UserError
from core.instruments import Instrument
from core.timeframes import MINUTE
from core.trades import TradeBatch
from storage import lake
from storage.catalog import describe, open_catalog, statements
from storage.ledger.ledger import Ledger

ROOT = Path(__file__).parents[2]
BTC = "binance:BTC-USDT"
T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z


@pytest.fixture(scope="module")
def place(fresh_lake, tmp_path_factory):
    address, path = fresh_lake(), str(tmp_path_factory.mktemp("catalog's"))
    connection = lake.connect(address, path, read_only=False)
    n = np.arange(10)
    ts = T + n * MINUTE
    one = np.ones(10)
    trades = TradeBatch(
        BTC, "trade", n, ts, ts, 100.0 + n, one, np.where(n % 2, 1, -1).astype(np.int8), one.astype(np.int32), n
    )
    words = np.zeros((10, 2), dtype=np.uint64)
    words[:, 0] = 10**18
    price = 100.0 * 2.0**n
    quote = words * np.array([[7, 1]], dtype=np.uint64)
    candles = CandleBatch(BTC, "1m", ts, price, price, price, price, words, quote, n + 1, words, one.astype(bool), n)
    lake.LakeWriter(connection, "p0").commit([trades.to_arrow()], [candles.to_arrow()], {"f": 0})
    connection.close()
    return address, path


@pytest.fixture(scope="module")
def catalog(place):
    catalog = open_catalog(*place)
    yield catalog
    catalog.close()


def test_every_view_is_as_it_is_described(catalog):
    for relation in describe():
        if relation.kind == "view":
            source = relation.name
        else:
            source = re.sub(
                r"\(.*", f"('{BTC}', '{'1m' if 'timeframe' in relation.name else '2024-08-09'}')", relation.name
            )
        found = [(name, str(kind)) for name, kind, *_ in catalog.execute(f"DESCRIBE FROM {source}").fetchall()]
        assert found == [(column.name, column.type) for column in relation.columns], relation.name
        catalog.execute(f"FROM {source} LIMIT 1").fetchall()


def test_nothing_else_is_in_the_catalog(catalog):
    views = catalog.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    macros = catalog.execute(
        "SELECT function_name FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal"
    )
    described = {relation.kind: [] for relation in describe()}
    for relation in describe():
        described[relation.kind].append(relation.name.split("(")[0])
    assert sorted(name for (name,) in views) == sorted(described["view"])
    assert sorted(name for (name,) in macros.fetchall()) == sorted(described["macro"])


def test_the_data_dictionary_names_everything():
    text = (ROOT / "docs/data-dictionary.md").read_text("utf-8")
    for relation in describe():
        section = text.partition(f"### {relation.name}\n")[2].partition("\n### ")[0]
        assert relation.comment in section, relation.name
        for column in relation.columns:
            assert f"| `{column.name}` | {column.type} | {column.comment} |" in section, (relation.name, column.name)


def test_any_duckdb_client_can_do_the_same(place):
    address, _ = place
    script = (
        "import duckdb, sys; c = duckdb.connect(config={'autoinstall_known_extensions': 'false'})\n"
        "for s in sys.stdin.read().split(';\\n'): c.execute(s)\n"
        "print(c.execute('SELECT count(*) FROM trades').fetchone(), c.execute('FROM signals').fetchall())"
    )
    given = ";\n".join(statements(*place))
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=given,
        capture_output=True,
        text=True,
        env={"PGPASSWORD": address.password.get_secret_value()},
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("(10,) []", "")


def test_statements_hold_no_password(place):
    address, _ = place
    assert address.password.get_secret_value() not in "".join(statements(*place))


def test_errors_hold_no_password(place):
    address, path = place
    for wrong in (replace(address, password=SecretStr("hunter2's")), replace(address, port=1)):
        with pytest.raises((UserError, TransientError)) as caught:
            open_catalog(wrong, path)
        assert "hunter2" not in str(caught.value)
        assert address.password.get_secret_value() not in str(caught.value)
    with pytest.raises(UserError, match="tidemill migrate"):
        open_catalog(replace(address, lake_db="postgres"), path)


def test_nothing_can_be_changed(catalog):
    for statement in ("DELETE FROM lake.trades", "DELETE FROM ledger.signals", "DROP TABLE lake.candles"):
        with pytest.raises(duckdb.Error, match="read-only"):
            catalog.execute(statement)


def test_a_timeframe_is_read_alone(catalog):
    ((_, plan),) = catalog.execute("EXPLAIN FROM candles WHERE timeframe = '5m'").fetchall()
    # The minutes, once; no minute is revised, so the other side of the join is gone as well.
    assert plan.count("DUCKLAKE_SCAN") == 1


def test_ohlcv_gives_the_candles_in_order(catalog):
    rows = catalog.execute(f"FROM ohlcv('{BTC}', '5m')").fetchall()
    at = datetime(2024, 8, 9, tzinfo=UTC)
    assert rows == [
        (at, 100.0, 1600.0, 100.0, 1600.0, Decimal(5)),
        (at.replace(minute=5), 3200.0, 51200.0, 3200.0, 51200.0, Decimal(5)),
    ]


def test_an_unknown_timeframe_is_refused_with_the_known_ones(catalog):
    for macro in ("ohlcv", "vwap", "returns"):
        for instrument in (BTC, "okx:NONE-USDT"):
            with pytest.raises(duckdb.Error, match=r"unknown timeframe; known: 1s, 1m, 3m, .*1w, 1M"):
                catalog.execute(f"FROM {macro}('{instrument}', '7m')").fetchall()


def test_an_unknown_instrument_is_an_error_and_a_known_one_without_candles_is_none(place):
    other = open_catalog(*place)
    unknown = "unknown instrument okx:NO-USDT: the view instruments lists the known ones"
    for macro in ("ohlcv", "vwap", "returns", "spread"):
        with pytest.raises(duckdb.Error, match=unknown):
            other.execute(f"FROM {macro}('okx:NO-USDT', '1m')").fetchall()
        # Written by another author: the ledger does not know it.
        other.execute(f"FROM {macro}('{BTC}', '1m')").fetchall()
    with Ledger(place[0]) as ledger:
        ledger.see_instruments([Instrument.parse("okx:NO-USDT")], {})
    for macro in ("ohlcv", "vwap", "returns", "spread"):
        assert other.execute(f"FROM {macro}('okx:NO-USDT', '1m')").fetchall() == []
    other.close()


def test_vwap_is_quote_volume_over_volume(catalog):
    assert catalog.execute(f"SELECT DISTINCT vwap FROM vwap('{BTC}', '1m')").fetchall() == [(7.0,)]


def test_returns_are_of_closes(catalog):
    rows = catalog.execute(f"SELECT simple_return, log_return FROM returns('{BTC}', '1m')").fetchall()
    assert rows[0] == (None, None)
    assert rows[1:] == [(1.0, pytest.approx(np.log(2), rel=1e-15))] * 9


def test_as_of_is_the_last_trade_at_or_before(catalog):
    def at(moment):
        return [row[0] for row in catalog.execute(f"FROM as_of('{BTC}', '{moment}')").fetchall()]

    assert at("2024-08-09 00:03:00") == [3]
    assert at("2024-08-09 00:02:59.999999+00") == [2]
    assert at("2024-08-08 23:59:59+00") == []
    assert at("2030-01-01") == [9]

import math
import threading
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Busy, IntegrityError, TransientError
from core.instruments import Instrument
from core.records import Quarantined
from core.settings import LedgerSettings, Settings
from core.signals import Signal
from storage.data_folder import DataFolder
from storage.ledger.ledger import Ledger
from storage.ledger.schema import migrate
from storage.ledger.server import serve
from storage.ledger.sources import QuarantineCount

T = 1_723_161_240_000_000
MINUTE = 60_000_000
EXAMPLES = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve(Settings(ledger=LedgerSettings()), DataFolder(tmp_path_factory.mktemp("writes") / "data")) as address:
        migrate(address)
        yield address


@pytest.fixture(scope="module")
def ledger(address):
    with Ledger(address) as ledger:
        yield ledger


@pytest.fixture
def empty(address, ledger):
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        connection.execute("TRUNCATE instruments, feeds, runs, signals, quarantine, quarantine_dropped")
    return ledger


def signal(n=0, run="rsi-1"):
    return Signal(
        run, "binance:BTC-USDT", "1m", T + n * MINUTE, "long", 0.1 * n, "why", 60_000.1, T + (n + 1) * MINUTE
    )


def start(ledger, run="rsi-1"):
    ledger.start_run(run, "rsi", "binance:BTC-USDT", "1m", {"length": 14, "oversold": 30.5, "name": "x"}, "abc")


def rows(address, statement):
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        return connection.execute(statement).fetchall()


def test_signals_are_stored_once_and_come_back_as_they_were(empty):
    start(empty)
    batch = [signal(n) for n in range(3)]
    empty.insert_signals(batch)
    empty.insert_signals(batch[::-1] + batch)
    assert empty.signals("rsi-1") == empty.signals() == batch
    assert empty.signals("other") == []


@pytest.mark.parametrize(
    "change", [{"target": 0.5}, {"reason": "else"}, {"price": math.nextafter(60_000.1, 0)}, {"decided_at": T}]
)
def test_a_signal_with_another_content_is_an_error_and_nothing_of_its_batch_is_stored(empty, change):
    start(empty)
    empty.insert_signals([signal(0)])
    with pytest.raises(IntegrityError, match="another content"):
        empty.insert_signals([signal(1), replace(signal(0), **change)])
    with pytest.raises(IntegrityError, match="another content"):
        empty.insert_signals([signal(2), replace(signal(2), **change)])
    assert empty.signals() == [signal(0)]


def test_a_signal_needs_its_run(empty):
    with pytest.raises(IntegrityError, match=r"never started.*rsi-1"):
        empty.insert_signals([signal()])
    assert empty.signals() == []


def test_a_run_is_written_once_and_ends(empty, address):
    for _ in range(2):
        start(empty)
    columns = "SELECT id, strategy, params->>'length', params->>'oversold', code, state, error FROM runs"
    assert rows(address, columns) == [("rsi-1", "rsi", "14", "30.5", "abc", "running", None)]
    empty.stop_run("rsi-1", "it raised")
    assert rows(address, columns)[0][5:] == ("failed", "it raised")
    empty.stop_run("rsi-1")
    assert rows(address, columns)[0][5:] == ("stopped", None)


def test_a_feed_belongs_to_one_venue(empty):
    for _ in range(2):
        empty.register_feed("main", "binance")
    with pytest.raises(IntegrityError, match="frames of binance, not of okx"):
        empty.register_feed("main", "okx")
    assert empty.feeds() == {"main": "binance"}


def test_an_instrument_is_written_once_and_learns_what_was_not_known(empty, address):
    bare = Instrument.parse("binance:BTC-USDT")
    known = replace(bare, tick=Decimal("0.010"), lot=Decimal("0.00001"))
    empty.see_instruments([bare, bare], {})
    empty.see_instruments([known], {"binance:BTC-USDT": "trade"})
    empty.see_instruments([replace(known, tick=Decimal(5))], {"binance:BTC-USDT": "aggregate"})
    columns = (
        "SELECT name, venue, base, quote, expiry, tick::text, lot, multiplier, size_unit, id_space FROM instruments"
    )
    assert rows(address, columns) == [
        ("binance:BTC-USDT", "binance", "BTC", "USDT", "", "0.010", Decimal("0.00001"), 1, "base", "trade")
    ]


@EXAMPLES
@given(st.text(max_size=30), st.binary(max_size=50))
def test_the_quarantine_takes_every_reason_and_every_byte(address, ledger, reason, payload):
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        connection.execute("TRUNCATE quarantine, quarantine_dropped")
    row = Quarantined("f", 7, T, reason, payload)
    for _ in range(2):
        ledger.quarantine([row, row])
    (kept,) = ledger.unreadable("f")
    assert (kept.feed, kept.offset, kept.received_at, kept.payload) == ("f", 7, T, payload)
    if "\0" not in reason and reason.isprintable():
        assert kept.reason == reason
    assert ledger.quarantined() == {"f": QuarantineCount(1, 0)}


def bad(offset, feed="f"):
    return Quarantined(feed, offset, T + offset, "unreadable", b"x")


@EXAMPLES
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(0, 5))
def test_the_quarantine_is_bounded_counts_what_it_drops_and_a_replay_changes_nothing(address, ledger, sizes, keep):
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        connection.execute("TRUNCATE quarantine, quarantine_dropped")
    ledger.quarantine([bad(0, "other")])
    n = 0
    for size in sizes:
        ledger.quarantine([bad(n + i) for i in range(size)], keep)
        n += size
        # A crash replays from the beginning.
        ledger.quarantine([bad(i) for i in range(n)], keep)
    assert [q.offset for q in ledger.unreadable("f")] == list(range(n))[::-1][:keep]
    counts = QuarantineCount(min(n, keep), n - min(n, keep))
    assert ledger.quarantined() == {"f": counts, "other": QuarantineCount(1, 0)}


def test_only_the_first_bytes_are_kept(empty):
    empty.quarantine([replace(bad(1), payload=b"y" * 10_000)])
    assert empty.unreadable("f")[0].payload == b"y" * Quarantined.KEPT_BYTES


def test_a_lease_is_held_by_one(ledger):
    with ledger.lease("backfill binance:BTC-USDT"):
        with pytest.raises(Busy, match=r"held by process \d+"), ledger.lease("backfill binance:BTC-USDT"):
            pass
        with ledger.lease("backfill binance:ETH-USDT"):
            pass
    with ledger.lease("backfill binance:BTC-USDT"):
        pass


def test_a_lost_connection_is_transient_and_the_next_call_connects_anew(empty, address):
    empty.register_feed("main", "binance")
    with psycopg.connect(address.conninfo(address.ledger_db), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    with pytest.raises(TransientError):
        empty.feeds()
    assert empty.feeds() == {"main": "binance"}


def test_threads_take_turns(empty):
    threads = [threading.Thread(target=empty.register_feed, args=(f"f{n}", "okx")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert empty.feeds() == {f"f{n}": "okx" for n in range(8)}


def test_writing_nothing_needs_no_server():
    from_nowhere = Ledger(None)
    from_nowhere.record()
    from_nowhere.insert_signals([])
    from_nowhere.clean([])
    from_nowhere.quarantine([])

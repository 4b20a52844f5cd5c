import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import Command, Kind, Mark, Record, RecordBlock
from core.trades import TradeBatch
from dataflows.recorder import known_trades
from dataflows.recorder.commands import marked
from dataflows.recorder.known_trades import KnownTrades
from exchanges.registry import venue
from simulator.wire import payload
from storage.journal import Journal

VENUE = venue("simulated")
BTC, ETH = ("simulated:BTC-USDT", "trade"), ("simulated:ETH-USDT", "trade")
T = 1_723_161_600_000_000


def frame(number, symbol="BTCUSDT", ahead=0):
    ts = T + number * 1000 + ahead
    return Record(Kind.FRAME, T + number * 1000, payload(symbol, number, 100.5, 0.25, ts, 1, ts))


def page(ids, instrument=BTC[0]):
    ids = np.array(sorted(ids), np.int64)
    ones = np.ones(len(ids))
    ts = T + ids * 1000
    batch = TradeBatch(instrument, "trade", ids, ts, ts, ones, ones, ones.astype(np.int8), ones.astype(np.int32), ids)
    return Record(Kind.TRADES, T, batch.to_ipc())


def taken(records, cuts=()):
    known = KnownTrades(VENUE)
    edges = [0, *sorted({cut % (len(records) + 1) for cut in cuts}), len(records)]
    for low, high in pairwise(edges):
        if low < high:
            known.take(RecordBlock.of("f", low, records[low:high]))
    return known


IDS = st.lists(st.integers(1, 60), min_size=1, max_size=60)


@settings(max_examples=50)
@given(IDS, st.lists(st.integers(0, 100), max_size=5), st.sets(st.integers(0, 59)))
def test_what_is_missing_is_what_did_not_come_however_it_is_cut(ids, cuts, paged):
    records = [page([n]) if at in paged else frame(n) for at, n in enumerate(ids)]
    known = taken(records, cuts)
    here = set(ids)
    pieces = known.missing(BTC, 1, 60)
    assert {n for first, last in pieces for n in range(first, last + 1)} == set(range(1, 61)) - here
    holes = {n for _, holes in known.holes() for hole in holes for n in range(hole.first_id, hole.last_id + 1)}
    assert holes == set(range(min(here), max(here))) - here
    assert known.last_id(BTC) == max(here)
    assert known.trades == len(set(ids))
    assert known.newest == T + max(here) * 1000
    fetched = TradeBatch.from_ipc(page(range(1, 61)).payload)
    assert set(known.unknown(fetched).ids.tolist()) == set(range(1, 61)) - here


def test_of_what_has_not_come_nothing_is_known():
    known = KnownTrades(VENUE)
    assert (known.last_id(BTC), known.last_time(BTC), known.missing(BTC, 3, 5)) == (None, 0, [(3, 5)])
    assert not known.instruments()


def test_a_trade_from_the_future_is_not_there():
    known = taken([frame(1), frame(2, ahead=2 * 3_600_000_000), frame(3)])
    assert known.missing(BTC, 1, 3) == [(2, 2)]
    assert known.newest == T + 3000


def test_other_records_and_garbage_are_passed_over():
    garbage = [Record(Kind.FRAME, T, b"\xff{"), Record(Kind.TRADES, T, b"no arrow"), Record(Kind.TICK, T + 9, b"{}")]
    known = taken([frame(1), *garbage, frame(2)])
    assert known.missing(BTC, 1, 2) == []


def test_the_last_command_that_was_acted_on_is_known():
    command = Command("subscribe", "f", {"instrument": ETH[0]})
    copies = [marked(7, command).record(T), marked(4, command, "because").record(T), command.record(T)]
    assert taken(copies).acted == 7
    assert taken([frame(1)]).acted == -1


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path, segment_bytes=1 << 16) as journal:
        yield journal


def test_the_tail_tells_what_living_through_it_would_have(journal):
    records = [frame(n) for n in range(1, 400) if n % 37] + [page([37, 74]), frame(400)]
    journal.append("f", records)
    known, lived = KnownTrades(VENUE), taken(records)
    known.read_tail(journal, "f", {BTC[0]})
    assert known.missing(BTC, 1, 400) == lived.missing(BTC, 1, 400) == [(n, n) for n in range(111, 400, 37)]
    assert known.received == lived.received


@pytest.mark.parametrize("deep", [1_000, 50])
def test_what_is_not_in_the_tail_is_looked_for_deeper(journal, monkeypatch, deep):
    monkeypatch.setattr(known_trades, "TAIL_RECORDS", 40)
    monkeypatch.setattr(known_trades, "DEEPEST_RECORDS", deep)
    journal.append("f", [*(frame(n, "ETHUSDT") for n in range(1, 6)), *(frame(n) for n in range(1, 301))])
    known = KnownTrades(VENUE)
    known.read_tail(journal, "f", {BTC[0], ETH[0], "simulated:SOL-USDT"})
    assert known.last_id(ETH) == (5 if deep == 1_000 else None)
    assert known.missing(BTC, 261, 300) == []


def test_an_empty_journal_has_an_empty_tail(journal):
    known = KnownTrades(VENUE)
    known.read_tail(journal, "f", {BTC[0]})
    assert not known.instruments()


def test_a_recorder_that_ended_without_a_word_left_a_connection_up():
    told = {"T": T // 1000, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "100", "i": "2100000000007764263", "BT": False}
    pushed = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": T // 1000, "data": [told | {"seq": 1}]}
    known = KnownTrades(venue("bybit"))
    for record, up in (
        (Mark("connected", "a").record(T), False),
        (Record(Kind.FRAME, T, json.dumps(pushed).encode()), True),
        (Mark("lost", "", "restart").record(T), False),
    ):
        known.take(RecordBlock.of("f", 0, [record]))
        assert known.cut_short is up

"""A frame that cannot be read may have been a trade: what it hides is a named stretch, never silence."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import Kind, Mark, Record, RecordBlock
from dataflows.decode import Arrivals, Decoder
from dataflows.recorder.known_trades import KnownTrades
from exchanges.registry import venue

NAME, KEY = "bybit:BTC-USDT", ("bybit:BTC-USDT", "execution")
START = 1_767_225_600_000


def frame(number: int) -> bytes:
    row = {
        "T": START + number,
        "s": "BTCUSDT",
        "S": "Buy",
        "v": "1",
        "p": "10",
        "i": str(10**12 + number),
        "BT": False,
    }
    told = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": START + number, "data": [row | {"seq": number}]}
    return json.dumps(told).encode()


def block(readable: list[bool], first: int = 0) -> RecordBlock:
    frames = [
        frame(n) if ok else b'{"topic":"publicTrade.BTCUSDT","data":[{]' for n, ok in enumerate(readable, first)
    ]
    return RecordBlock.of(
        "bybit", first, [Record(Kind.FRAME, (START + n) * 1000, one) for n, one in enumerate(frames)]
    )


def told(found: list[object]) -> list[object]:
    story: list[object] = []
    for one in found:
        if isinstance(one, Arrivals) and one.instrument == NAME:
            said = one.trades.ids.tolist() if one.trades is not None else [one.event.mark]  # type: ignore[union-attr]
            story.extend(said)
    return story


def breaks(story: list[object]) -> list[object]:
    """Give a story with breaks that follow one another as one."""
    kept: list[object] = []
    for one in story:
        if one != "connected" and not (one == "lost" and kept[-1:] == ["lost"]):
            kept.append(one)
    return kept


@settings(max_examples=80, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 12))
def test_it_breaks_the_stretch_where_it_stands_however_the_journal_is_cut(readable: list[bool], cut: int) -> None:
    whole, parts = Decoder({"bybit": "bybit"}), Decoder({"bybit": "bybit"})
    _, found = whole(None, block(readable))
    seen = told(found)
    first, cut_state = [], None
    for low, high in ((0, min(cut, len(readable))), (min(cut, len(readable)), len(readable))):
        if high > low:
            cut_state, more = parts(cut_state, block(readable, 0).slice(low, high))
            first += told(more)
    assert breaks(first) == breaks(seen)
    known = False
    expected: list[object] = []
    for number, ok in enumerate(readable):
        known |= ok
        expected += [10**12 + number] if ok else ["lost", "connected"] if known else []
    assert breaks(seen) == breaks(expected)


def test_the_recorder_knows_the_same_hole() -> None:
    known = KnownTrades(venue("bybit"))
    known.take(block([True, True, False, True]))
    (hole,) = known.holes_of(KEY)
    assert (hole.after_ts, hole.before_ts) == ((START + 1) * 1000, (START + 3) * 1000)


@pytest.mark.parametrize("name", ["binance", "okx"])
def test_where_ids_chain_nothing_is_broken(name: str) -> None:
    decoder = Decoder({"feed": name})
    _, found = decoder(None, RecordBlock.of("feed", 0, [Record(Kind.FRAME, 1, b"{")]))
    assert not [one for one in found if isinstance(one, Arrivals) and isinstance(one.event, Mark)]

"""What cannot be read or believed may have been a trade: what it hides is a named stretch, never silence."""

import json
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.completeness import Known
from core.records import Kind, Mark, Quarantined, Record, RecordBlock
from dataflows.decode import Arrivals, Decoder
from dataflows.recorder.known_trades import KnownTrades
from dataflows.steps import check_continuity
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


SOUND, UNREADABLE, EARLY = "sound", "unreadable", "early"
FRAMES = st.lists(
    st.lists(st.sampled_from([SOUND, SOUND, SOUND, EARLY, UNREADABLE]), min_size=1, max_size=3),
    min_size=1,
    max_size=10,
)


def rows(numbers: list[tuple[int, str]]) -> bytes:
    data = [
        json.loads(frame(n))["data"][0] | {"T": START + n + (2 * 3_600_000 if kind == EARLY else 0)}
        for n, kind in numbers
    ]
    return json.dumps({"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": START, "data": data}).encode()


def feed_of(frames: list[list[str]]) -> list[Record]:
    """Give frames of several trades each; one with an unreadable trade is unreadable."""
    made, number = [], 0
    for kinds in frames:
        numbered = list(enumerate(kinds, number))
        payload = b"{" if UNREADABLE in kinds else rows(numbered)
        made.append(Record(Kind.FRAME, (START + number) * 1000, payload))
        number += len(kinds)
    return made


def followed(records: list[Record], cuts: list[int]) -> tuple[Known | None, set[int], KnownTrades]:
    decoder, known = Decoder({"bybit": "bybit"}), KnownTrades(venue("bybit"))
    feed, state, aside = None, None, set()
    edges = [0, *sorted({cut % len(records) for cut in cuts} - {0}), len(records)]
    for low, high in pairwise(edges):
        block = RecordBlock.of("bybit", low, records[low:high])
        known.take(block)
        feed, found = decoder(feed, block)
        aside |= {one.offset for one in found if isinstance(one, Quarantined)}
        for one in found:
            if isinstance(one, Arrivals):
                state, _ = check_continuity(state, one, 500_000)
    return state, aside, known


@settings(max_examples=80, deadline=None)
@given(FRAMES, st.lists(st.integers(0, 10), max_size=3))
def test_between_two_trades_that_are_proven_together_nothing_was_put_aside(
    frames: list[list[str]], cuts: list[int]
) -> None:
    records = feed_of(frames)
    state, aside, known = followed(records, cuts)
    flat = [UNREADABLE if UNREADABLE in kinds else kind for kinds in frames for kind in kinds]
    runs = [list(run) for kind, run in groupby(range(len(flat)), lambda n: flat[n]) if kind == SOUND]
    expected = [((START + run[0]) * 1000, (START + run[-1]) * 1000) for run in runs]
    assert [(r.first_ts, r.last_ts) for r in state.proven] == expected if state else not expected
    assert aside == {at for at, kinds in enumerate(frames) if EARLY in kinds or UNREADABLE in kinds}
    assert known.holes_of(KEY) == (state.holes if state else ())
    assert known.proven_until(KEY) == (expected[-1][1] if expected else 0)

"""Two authors of trades: what one has stored the other does not store again, whoever comes first, also at once."""

import threading
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import lake
from storage.lake.errors import Conflict

T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z
SECOND = 1_000_000
DAY = 86_400_000_000
NAMES = count()
BTC = "binance:BTC-USDT"


@pytest.fixture(scope="module")
def law_lake(fresh_lake, tmp_path_factory):
    address, path = fresh_lake(), str(tmp_path_factory.mktemp("files"))
    connections = [lake.connect(address, path, read_only=False) for _ in range(2)]
    yield connections
    for connection in connections:
        connection.close()


def ids_of(connection, instrument=BTC):
    rows = connection.execute("SELECT trade_id FROM lake.trades WHERE instrument = ? ORDER BY 1", [instrument])
    return [row[0] for row in rows.fetchall()]


def scattered(ids):
    """Ids of a venue whose ids do not chain."""
    return np.array(ids, np.int64) * 7_919 % 10_007


@settings(max_examples=4)
@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True), st.booleans()),
        min_size=2,
        max_size=8,
    ),
    st.sampled_from(["trade", "execution"]),
)
def test_whoever_comes_first_stores_a_trade_and_nobody_again(law_lake, batch, steps, space):
    number = next(NAMES)
    name, feed = f"binance:N{number}-USDT", f"f{number}"
    flow, other = (lake.LakeWriter(connection, f"p{number}") for connection in law_lake)
    seen_by_flow, offset, top = set(), 0, -1
    for by_flow, numbers, restarted in steps:
        # The dataflow brings a trade once; another author writes what lies behind its newest one.
        wanted = sorted(set(numbers) - seen_by_flow) if by_flow else [n for n in numbers if n <= top]
        if not wanted:
            continue
        ids = scattered(wanted) if space == "execution" else np.array(wanted)
        rows = batch(ids, T + np.array(wanted) * SECOND, name, space).to_arrow()
        before = len(ids_of(law_lake[0], name))
        if by_flow:
            offset += 1
            flow = lake.LakeWriter(law_lake[0], f"p{number}") if restarted else flow
            told = flow.commit([rows], [], {feed: offset})["trades"]
            seen_by_flow, top = seen_by_flow | set(wanted), max(top, *wanted)
        else:
            told = other.add_trades([rows])
        found = ids_of(law_lake[0], name)
        assert len(found) == len(set(found)) == before + told
        assert set(ids.tolist()) <= set(found)


@settings(max_examples=6)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 30)), min_size=1, max_size=20),
        min_size=1,
        max_size=3,
    )
)
def test_where_ids_do_not_chain_a_trade_that_comes_again_is_stored_once_also_within_a_commit(
    law_lake, batch, commits
):
    """What was forgotten by the dataflow and fetched again comes as new, at once or much later."""
    number = next(NAMES)
    flow = lake.LakeWriter(law_lake[0], f"p{number}")
    seen = set()
    for offset, trades in enumerate(commits):
        parts = []
        for letter, n in trades:
            ids = scattered([n])
            parts.append(
                batch(ids, T + np.array([n]) * SECOND, f"bybit:{letter}{number}-USDT", "execution").to_arrow()
            )
        told = flow.commit(parts, [], {f"f{number}": offset})["trades"]
        assert told == len(set(trades) - seen)
        seen |= set(trades)
    for letter in "AB":
        wanted = sorted(scattered([n for one, n in seen if one == letter]).tolist())
        assert ids_of(law_lake[0], f"bybit:{letter}{number}-USDT") == wanted


def test_of_a_trade_that_comes_twice_in_a_commit_the_first_is_kept(lake_connection, batch):
    first, again = (batch([5, 7], [T, T + 1], "bybit:BTC-USDT", "execution") for _ in range(2))
    again.received[:] += 60 * SECOND
    flow = lake.LakeWriter(lake_connection, "p0")
    assert flow.commit([first.to_arrow(), again.to_arrow()], [], {"f": 0}) == {"trades": 2}
    rows = lake_connection.execute("SELECT trade_id, epoch_us(received) FROM lake.trades ORDER BY 1").fetchall()
    assert rows == list(zip([5, 7], first.received.tolist(), strict=True))


@pytest.mark.parametrize("space", ["trade", "execution"])
def test_authors_at_the_same_moment_store_a_trade_once(lake_connect, batch, space):
    flow, *others = (lake.LakeWriter(lake_connect(), name) for name in ("p0", "other", "another"))
    flow.commit([batch([0, 100], [T, T + 100 * SECOND], id_space=space).to_arrow()], [], {"f": 0})
    start, failed = threading.Barrier(3), []

    def run(work):
        start.wait()
        try:
            for number in range(1, 9):
                rows = batch([number, number + 10], [T + number, T + number + 10], id_space=space).to_arrow()
                work(rows, number)
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)

    works = [lambda rows, number: flow.commit([rows], [], {"f": number})]
    works += [lambda rows, number, other=other: other.add_trades([rows]) for other in others]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert ids_of(lake_connect()) == [0, *range(1, 9), *range(11, 19), 100]
    assert flow.offsets() == {"f": 8}


def test_a_commit_that_came_too_late_is_begun_again_with_what_the_other_stored(lake_connect, batch, monkeypatch):
    flow, other = lake.LakeWriter(lake_connect(), "p0"), lake.LakeWriter(lake_connect(), "other")
    flow.commit([batch([1, 9], [T, T + 9]).to_arrow()], [], {"f": 0})
    look = flow._not_added
    asked = []

    def meanwhile(rows, found):
        new = look(rows, found)
        if not asked:
            asked.append(other.add_trades([batch([4, 5], [T + 4, T + 5]).to_arrow()]))
        return new

    monkeypatch.setattr(flow, "_not_added", meanwhile)
    assert flow.commit([batch([5, 6], [T + 5, T + 6]).to_arrow()], [], {"f": 1}) == {"trades": 1}
    assert asked == [2]
    assert ids_of(lake_connect()) == [1, 4, 5, 6, 9]


def test_who_never_gets_through_says_so_and_stores_nothing(lake_connect, batch, monkeypatch):
    flow, other = lake.LakeWriter(lake_connect(), "p0"), lake.LakeWriter(lake_connect(), "other")
    flow.commit([batch([1, 90], [T, T + 90]).to_arrow()], [], {"f": 0})
    look, numbers = flow._not_added, count(10)

    def always_meanwhile(rows, found):
        new = look(rows, found)
        number = next(numbers)
        other.add_trades([batch([number], [T + number]).to_arrow()])
        return new

    monkeypatch.setattr(flow, "_not_added", always_meanwhile)
    with pytest.raises(Conflict, match="nothing was stored"):
        flow.commit([batch([5], [T + 5]).to_arrow()], [], {"f": 1})
    assert 5 not in ids_of(lake_connect())
    assert flow.offsets() == {"f": 0}


def test_what_is_new_beyond_doubt_is_not_looked_for(lake_connect, batch, monkeypatch):
    flow = lake.LakeWriter(lake_connect(), "p0")
    flow.commit([batch([1, 2], [T, T + 1]).to_arrow()], [], {"f": 0})
    monkeypatch.setattr("storage.lake.writer.stored", lambda *_: pytest.fail("it was looked for"))
    monkeypatch.setattr(flow, "_exclude_others", lambda: pytest.fail("it excluded others"))
    flow.commit([batch([3, 4], [T + 2, T + 3]).to_arrow()], [], {"f": 1})
    # A quieter neighbour that was never seen costs one question, of itself alone.
    monkeypatch.undo()
    assert flow.commit([batch([1], [T + 4], "binance:ETH-USDT").to_arrow()], [], {"f": 2}) == {"trades": 1}


def test_a_day_that_another_author_filled_before_a_recording_comes_is_kept(lake_connect, batch):
    other = lake.LakeWriter(lake_connect(), "other")
    days = np.arange(0, 3 * DAY, DAY // 4)
    assert other.add_trades([batch(np.arange(len(days)), T + days).to_arrow()]) == 12
    flow = lake.LakeWriter(lake_connect(), "p0")
    for offset, rows in enumerate(np.array_split(np.arange(len(days) + 2), 4)):
        stored = flow.commit([batch(rows, T + rows * (DAY // 4)).to_arrow()], [], {"f": offset})
        assert stored == {"trades": int((rows >= len(days)).sum())}
    assert ids_of(lake_connect()) == list(range(14))

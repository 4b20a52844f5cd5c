"""Budgets as values: no window holds too much, whatever clocks, processes and restarts do."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import TransientError
from exchanges import window
from exchanges.budgets import Budgets, Wish, breakers
from exchanges.enduring_clock import Instant, after
from exchanges.hosts import host
from exchanges.window import Window

SECOND = 1_000_000
HOST = "api.example"


def heaviest(taken: list[tuple[int, int]], span: int) -> int:
    return max((sum(n for at, n in taken if start <= at < start + span) for start, _ in taken), default=0)


@settings(max_examples=100)
@given(
    st.integers(1, 20),
    st.integers(1, 100 * SECOND),
    st.lists(st.tuples(st.integers(0, 50 * SECOND), st.integers(1, 30)), max_size=50),
)
def test_no_window_holds_more_than_the_budget(most, span, asked) -> None:
    value, taken, now = Window(), [], 0
    for pause, amount in asked:
        now += pause
        left = window.wait(value, amount, most, span, now)
        assert 0 <= left <= span + max(1, span // 64), "a slot more than the window at most"
        now += left
        assert window.wait(value, amount, most, span, now) == 0, "it was as long as was said"
        value = window.take(value, amount, most, span, now)
        taken.append((now, min(amount, most)))
        assert len(value.parts) <= 66
    assert heaviest(taken, span) <= most


def test_windows_of_two_lengths_share_what_was_taken() -> None:
    value = window.take(Window(), 3, 3, 60 * SECOND, 0)
    value = window.take(value, 1, 9, SECOND, 30 * SECOND)
    assert window.wait(value, 1, 3, 60 * SECOND, 31 * SECOND) > 28 * SECOND
    assert window.wait(value, 1, 1, SECOND, 30 * SECOND) > 0
    assert window.wait(value, 1, 1, SECOND, 32 * SECOND) == 0


_PASSES = st.tuples(
    st.just("pass"), st.integers(0, 100 * SECOND), st.sampled_from([0, 0, -3600, -1, 3600, 86_400 * 365])
)
_RESTARTS = st.tuples(st.just("restart"), st.integers(0, 100 * SECOND), st.sampled_from([0, -3600]))


@settings(max_examples=150)
@given(st.lists(st.one_of(_PASSES, _RESTARTS), max_size=30))
def test_the_clock_never_goes_back_and_never_faster_than_time(events) -> None:
    """The machine's clock is set forth and back while it runs; while it is off it may only lose time."""
    real, wall, started = 10**15, 10**15, 10**15 - SECOND
    last = after(None, wall, real - started)
    began = last.told - real
    for kind, passed, step in events:
        real, wall = real + passed, wall + passed + step * SECOND
        if kind == "restart":
            started = real
        now = after(last, wall, real - started)
        assert now.told >= last.told
        assert now.told - real <= began, "what is to be waited for is waited for"
        if step == 0 and kind == "pass":
            assert now.told - last.told == passed, "and not longer, where nobody touches the clock"
        last = now


def test_a_clock_of_the_future_does_not_stop_everything() -> None:
    last = Instant(told=10**15, wall=9 * 10**15, passing=500)
    assert after(last, 10**15, 500 + SECOND).told == 10**15
    assert after(after(last, 10**15, 500), 10**15 + SECOND, 500 + SECOND).told == 10**15 + SECOND


class Clocks:
    def __init__(self) -> None:
        self.wall, self.passing = 1_700_000_000 * SECOND, 50 * SECOND

    def go(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.passing += int(seconds * SECOND)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def budgets(folder: Path | None, clocks: Clocks) -> Budgets:
    return Budgets(folder, wall=lambda: clocks.wall, passing=lambda: clocks.passing)


def admitted(of: Budgets, most: int = 10, kind: str = "rest") -> int:
    """Take one after the other until there is no more to be had; say how many."""
    count = 0
    while of.admit(HOST, Wish(kind, 1, most, 60.0)).wait == 0:
        count += 1
    return count


def test_all_that_share_a_folder_share_a_budget_through_restarts(tmp_path, clocks) -> None:
    first, second = budgets(tmp_path / "limits", clocks), budgets(tmp_path / "limits", clocks)
    assert first.admit(HOST, Wish("rest", 4, 10, 60.0)).wait == 0
    assert admitted(second) == 6
    assert admitted(first) == 0
    first.close()
    assert admitted(budgets(tmp_path / "limits", clocks)) == 0, "a restart"
    assert admitted(second, most=3, kind="connect") == 3, "attempts to connect are counted for themselves"
    assert second.admit("other.example", Wish("rest", 10, 10, 60.0)).wait == 0, "and every host"
    clocks.go(61)
    assert admitted(second) == 10


def test_a_folder_of_several_data_folders_is_made_where_it_is_missing(tmp_path, clocks) -> None:
    assert admitted(budgets(tmp_path / "of" / "all", clocks)) == 10
    assert admitted(budgets(tmp_path / "of" / "all", clocks)) == 0


def test_what_is_in_memory_is_nobody_elses(clocks) -> None:
    first = budgets(None, clocks)
    assert admitted(first) == 10
    first.close()
    assert admitted(first) == 0
    assert admitted(budgets(None, clocks)) == 10


@pytest.mark.parametrize(("wall", "passing"), [(-7200, 0), (+7200, 0), (-7200, -49), (+30, -49)])
def test_a_clock_that_was_set_and_a_machine_that_was_restarted_give_nothing_away(
    tmp_path, clocks, wall, passing
) -> None:
    assert admitted(budgets(tmp_path, clocks)) == 10
    clocks.wall += wall * SECOND
    clocks.passing += passing * SECOND
    assert admitted(budgets(tmp_path, clocks)) == 0
    clocks.go(61)
    assert admitted(budgets(tmp_path, clocks)) == 10, "and nobody waits for the two hours"


def test_a_long_rest_of_the_machine_counts(tmp_path, clocks) -> None:
    assert admitted(budgets(tmp_path, clocks)) == 10
    clocks.wall, clocks.passing = clocks.wall + 300 * SECOND, 3 * SECOND
    assert admitted(budgets(tmp_path, clocks)) == 10


@pytest.mark.parametrize("content", [b"", b"nonsense" * 4096, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_damaged_is_begun_anew(tmp_path, clocks, content) -> None:
    (tmp_path / "hosts.sqlite").write_bytes(content)
    assert admitted(budgets(tmp_path, clocks)) == 10
    assert admitted(budgets(tmp_path, clocks)) == 0


def test_a_page_that_is_damaged_is_found_at_the_next_start(tmp_path, clocks) -> None:
    of = budgets(tmp_path, clocks)
    assert admitted(of) == 10
    of.close()
    path = tmp_path / "hosts.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:4196] = b"\xff" * 100
    path.write_bytes(content)
    assert admitted(budgets(tmp_path, clocks)) == 10


def test_a_folder_that_cannot_be_written_lets_nothing_through(tmp_path, clocks) -> None:
    (tmp_path / "limits").write_text("a file")
    with pytest.raises(TransientError, match=r"budgets of requests in .* cannot be kept"):
        budgets(tmp_path / "limits", clocks).admit(HOST, Wish("rest", 1, 10, 60.0))
    (tmp_path / "limits").unlink()
    of = budgets(tmp_path / "limits", clocks)
    assert admitted(of) == 10


def test_looking_creates_nothing(tmp_path) -> None:
    assert breakers(tmp_path / "limits") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://api.binance.com", "api.binance.com"),
        ("wss://ann:hunter2@Stream.Binance.com:9443/stream?x", "stream.binance.com:9443"),
        ("https://www.deribit.com:443/api/v2", "www.deribit.com"),
        ("wss://www.deribit.com/ws/api/v2", "www.deribit.com"),
        ("http://[::1]:80/x", "[::1]"),
        ("ws://[::1]:81", "[::1]:81"),
        ("http://a:99999", ""),
        ("nonsense", ""),
    ],
)
def test_hosts(url, found) -> None:
    assert host(url) == found

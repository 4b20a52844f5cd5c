import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Busy, IntegrityError, UserError
from core.records import Command, Kind, Record
from core.settings import FeedSettings
from dataflows import inbox as inbox_module
from dataflows.inbox import INBOX, Inbox, wanted
from storage.data_folder import DataFolder
from storage.journal import Journal

NAMES = [f"binance:{base}-USDT" for base in ("ADA", "BTC", "ETH", "SOL")]
FEEDS = ("binance", "other")
# Submits numbered commands for ever, saying each number only once it is durable.
SUBMITTER = """
import sys
from pathlib import Path
from core.records import Command
from dataflows.inbox import Inbox
from storage.data_folder import DataFolder

who, count = sys.argv[2], int(sys.argv[3])
with Inbox(DataFolder(Path(sys.argv[1]))) as inbox:
    for n in range(count):
        inbox.submit(Command("set", who, {"n": str(n)}))
        print(n, flush=True)
"""

commands = st.builds(
    lambda verb, feed, name: Command(verb, feed, {"instrument": name}),
    st.sampled_from(["subscribe", "unsubscribe"]),
    st.sampled_from(FEEDS),
    st.sampled_from(NAMES),
)
feeds = st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(
    lambda names: FeedSettings(name="binance", instruments=tuple(names))
)


def subscribe(name: str = NAMES[0], feed: str = "binance") -> Command:
    return Command("subscribe", feed, {"instrument": name})


def submitter(folder: Path, who: str, count: int) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", SUBMITTER, str(folder), who, str(count)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


@given(feeds, st.lists(commands, max_size=20))
def test_each_instrument_is_as_its_last_command_left_it(feed: FeedSettings, given_: list[Command]) -> None:
    last = {c.values["instrument"]: c.command == "subscribe" for c in given_ if c.target == feed.name}
    expected = {name for name in NAMES if last.get(name, name in feed.instruments)}
    found = wanted(feed, given_)
    assert set(found) == expected
    assert len(found) == len(expected)


@given(feeds, st.lists(commands, max_size=20))
def test_what_is_refused_or_for_another_feed_changes_nothing(feed: FeedSettings, given_: list[Command]) -> None:
    refused = [Command(c.command, c.target, {**c.values, "refused": "why"}) for c in given_]
    assert wanted(feed, refused) == feed.instruments
    others = [Command(c.command, "other", c.values) for c in given_]
    assert wanted(feed, others) == feed.instruments
    assert set(wanted(feed, [*given_, *refused])) == set(wanted(feed, given_))


@given(feeds, st.lists(commands, max_size=20), st.integers(0, 20))
def test_folding_in_two_steps_is_folding_at_once(feed: FeedSettings, given_: list[Command], cut: int) -> None:
    half = wanted(feed, given_[:cut])
    if half:
        later = feed.model_copy(update={"instruments": half})
        assert wanted(later, given_[cut:]) == wanted(feed, given_)


def test_all_instruments_may_be_removed() -> None:
    feed = FeedSettings(name="binance", instruments=(NAMES[0],))
    assert wanted(feed, [Command("unsubscribe", "binance", {"instrument": NAMES[0]})]) == ()


def test_what_is_submitted_is_read_in_order(tmp_path: Path) -> None:
    given_ = [subscribe(name) for name in NAMES]
    with Inbox(DataFolder(tmp_path)) as inbox:
        assert inbox.read(-1) == []
        assert not (tmp_path / "commands").exists()
        assert [inbox.submit(command) for command in given_] == [0, 1, 2, 3]
        assert inbox.read(-1) == list(enumerate(given_))
        assert inbox.read(1) == list(enumerate(given_))[2:]
        assert inbox.read(3) == []
    with Inbox(DataFolder(tmp_path)) as again:
        assert again.read(-1) == list(enumerate(given_))


@pytest.mark.parametrize("values", [{}, {"instrument": ""}, {"instrument": "BTCUSDT"}, {"instrument": "../../x"}])
def test_a_subscription_of_no_instrument_is_refused_and_nothing_is_stored(
    tmp_path: Path, values: dict[str, str]
) -> None:
    with Inbox(DataFolder(tmp_path)) as inbox, pytest.raises(UserError, match="no instrument name"):
        inbox.submit(Command("subscribe", "binance", values))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "record",
    [
        Record(Kind.COMMAND, 1, b"{"),
        Record(Kind.COMMAND, 1, b"\xff"),
        Record(Kind.COMMAND, 1, json.dumps({"command": "fly", "target": "x"}).encode()),
        Record(Kind.FRAME, 1, b"{}"),
    ],
)
def test_what_is_no_command_is_named(tmp_path: Path, record: Record) -> None:
    with Journal(tmp_path / "commands") as journal:
        journal.append(INBOX, [subscribe().record(1), record])
    with Inbox(DataFolder(tmp_path)) as inbox, pytest.raises(IntegrityError, match="record 1 of the commands"):
        inbox.read(-1)


def test_a_held_inbox_is_waited_for_and_then_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path / "commands") as holder, Inbox(DataFolder(tmp_path)) as inbox:
        holder.append(INBOX, [subscribe().record(1)])
        monkeypatch.setattr(inbox_module, "_PATIENCE_SECONDS", 0.05)
        with pytest.raises(Busy, match="try again"):
            inbox.submit(subscribe(NAMES[1]))
        assert len(inbox.read(-1)) == 1
        holder.close()
        assert inbox.submit(subscribe(NAMES[1])) == 1


def test_a_submit_rings_in_another_process(tmp_path: Path) -> None:
    with Inbox(DataFolder(tmp_path)) as inbox, inbox.doorbell() as bell:
        assert not bell.wait(0)
        with submitter(tmp_path, "a", 1) as child:
            assert bell.wait(60)
            assert child.wait() == 0
        assert inbox.read(-1) == [(0, Command("set", "a", {"n": "0"}))]


def test_processes_submit_beside_each_other_and_nothing_is_lost(tmp_path: Path) -> None:
    with submitter(tmp_path, "a", 40) as one, submitter(tmp_path, "b", 40) as two:
        assert [one.wait(), two.wait()] == [0, 0]
    with Inbox(DataFolder(tmp_path)) as inbox:
        found = inbox.read(-1)
    assert [offset for offset, _ in found] == list(range(80))
    for who in "ab":
        assert [int(c.values["n"]) for _, c in found if c.target == who] == list(range(40))


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    draw = random.Random(7)
    for round_ in range(4):
        with submitter(tmp_path, str(round_), 100_000) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(draw.random() / 20)
            child.send_signal(signal.SIGKILL)
            acknowledged = 1 + len([line for line in child.stdout.read().split("\n") if line])
        with Inbox(DataFolder(tmp_path)) as inbox:
            found = [int(c.values["n"]) for _, c in inbox.read(-1) if c.target == str(round_)]
            # The one that was on its way when the kill came may be there too.
            assert found in (list(range(acknowledged)), list(range(acknowledged + 1)))
            assert inbox.submit(subscribe()) >= 0

import subprocess
import sys
import threading

import pytest

from core.errors import UserError
from core.records import Kind, Record
from storage.journal import Journal

ONE = [Record(Kind.FRAME, 1, b"one")]
# Answers each line of stdin with what it has read since; waits on the bell only.
FOLLOWER = """
import sys
from pathlib import Path
from storage.journal import Journal

journal, after = Journal(Path(sys.argv[1])), -1
with journal.doorbell("f") as bell:
    print("listening", flush=True)
    while after < int(sys.argv[2]):
        block = journal.read("f", after, 1000)
        if block is None:
            if not bell.wait(60):
                sys.exit("nobody rang")
            continue
        assert block.first_offset == after + 1
        assert all(r.payload == b"%d" % o * 50 for o, r in enumerate(block.records(), block.first_offset))
        after = block.last_offset
        print(after, flush=True)
"""


def start(source, *arguments):
    command = [sys.executable, "-c", source, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_the_bell_wakes_readers_in_other_processes(tmp_path):
    with start(FOLLOWER, tmp_path, 9) as one, start(FOLLOWER, tmp_path, 9) as two, Journal(tmp_path) as journal:
        for child in (one, two):
            assert child.stdout.readline() == "listening\n"
        for i in range(10):
            journal.append("f", [Record(Kind.FRAME, i, b"%d" % i * 50)])
            for child in (one, two):
                assert child.stdout.readline() == f"{i}\n"
        assert [child.wait(), two.wait()] == [0, 0]
    assert list((tmp_path / "f" / "doorbells").iterdir()) == []


def test_a_reader_beside_a_writer_sees_every_record_once_and_whole(tmp_path):
    count = 6000
    with start(FOLLOWER, tmp_path, count - 1) as child, Journal(tmp_path, segment_bytes=50_000) as journal:
        for start_at in range(0, count, 3):
            journal.append("f", [Record(Kind.FRAME, i, b"%d" % i * 50) for i in range(start_at, start_at + 3)])
        assert child.stdout.read().split()[-1] == str(count - 1)
        assert child.wait() == 0


def test_bells_of_killed_readers_are_removed(tmp_path):
    with Journal(tmp_path) as journal, start(FOLLOWER, tmp_path, 9) as child:
        child.stdout.readline()
        journal.append("f", [Record(Kind.FRAME, 0, b"0" * 50)])
        bells = tmp_path / "f" / "doorbells"
        assert len(list(bells.iterdir())) == 1
        child.kill()
        child.wait()
        journal.append("f", ONE)
        assert list(bells.iterdir()) == []


def test_a_bell_left_by_a_dead_process_does_not_stop_the_writer(tmp_path):
    with Journal(tmp_path) as journal, start(FOLLOWER, tmp_path, 9) as child:
        child.stdout.readline()
        child.kill()
        child.wait()
        assert len(list((tmp_path / "f" / "doorbells").iterdir())) == 1
        assert journal.append("f", ONE) == 0
        assert list((tmp_path / "f" / "doorbells").iterdir()) == []


def test_a_bell_answers_once_and_keeps_what_came_before_the_wait(tmp_path):
    with Journal(tmp_path) as journal, journal.doorbell("f") as bell:
        assert bell.wait(0) is False
        journal.append("f", ONE)
        journal.append("f", ONE)
        assert bell.wait(0) is True
        assert bell.wait(0) is False
        for _ in range(20):
            with journal.doorbell("f") as late:
                journal.append("f", ONE)
                assert late.wait(0) is True


def test_a_bell_nobody_answers_does_not_stop_the_writer(tmp_path):
    with Journal(tmp_path, segment_bytes=1 << 20) as journal, journal.doorbell("f") as bell:
        ringer_limit = 70_000
        journal.append("f", ONE)
        writer = journal._writers["f"]
        for _ in range(ringer_limit):
            writer._ringer.ring()
        assert journal.append("f", ONE) == 1
        assert bell.wait(0) is True
        assert bell.wait(0) is False


def test_reading_writes_nothing(tmp_path):
    with Journal(tmp_path / "j") as journal:
        assert journal.read("f", -1, 10) is None
        assert journal.last_offset("f") == -1
        assert journal.first_offset("f") == 0
        assert journal.feeds() == []
        assert journal.consumers("f") == {}
        journal.trim("f", 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", ".f", "a/b", "A", "é", "a" * 65, "a\n", "-f", "a b", "a\0"])
def test_names_that_could_be_paths_are_refused(tmp_path, name):
    with Journal(tmp_path / "j") as journal:
        uses = [
            lambda: journal.append(name, ONE),
            lambda: journal.read(name, -1, 1),
            lambda: journal.last_offset(name),
            lambda: journal.first_offset(name),
            lambda: journal.trim(name, 1),
            lambda: journal.consumed(name, "c", -1),
            lambda: journal.consumers(name),
            lambda: journal.doorbell(name),
        ]
        for use in uses:
            with pytest.raises(UserError, match="feed name"):
                use()
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize(("after", "limit"), [(-2, 1), (-1, 0), (0, -5)])
def test_places_that_cannot_be_are_refused(tmp_path, after, limit):
    with Journal(tmp_path) as journal, pytest.raises(UserError):
        journal.read("f", after, limit)


def test_foreign_files_are_no_feeds(tmp_path):
    (tmp_path / "Not A Feed").mkdir()
    (tmp_path / "note.txt").write_text("")
    (tmp_path / "empty").mkdir()
    with Journal(tmp_path) as journal:
        journal.append("f", ONE)
        (tmp_path / "f" / "notes.seg").write_text("")
        assert journal.feeds() == ["f"]
        assert journal.read("f", -1, 5).last_offset == 0


def test_threads_may_share_a_journal(tmp_path):
    with Journal(tmp_path, segment_bytes=20_000) as journal:

        def work(number):
            for i in range(100):
                journal.append(f"feed-{number % 2}", [Record(Kind.FRAME, number, b"%d" % i)])
                journal.read(f"feed-{number % 2}", -1, 7)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for feed in ("feed-0", "feed-1"):
            found = list(journal.read(feed, -1, 1000).records())
            assert len(found) == 200
            for number in {record.received_at for record in found}:
                mine = [int(record.payload) for record in found if record.received_at == number]
                assert mine == list(range(100))

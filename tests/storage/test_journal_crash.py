import errno
import random
import subprocess
import sys
import time

import pytest

from core.errors import Busy, TransientError
from core.records import Kind, Record
from storage.journal import Journal
from storage.journal import writer as writer_module

# Payloads of a few bytes to a few segments, so that deaths fall on appends, on new segments, on preparations.
WRITER = """
import random, sys
from pathlib import Path
from core.records import Kind, Record
from storage.journal import Journal

root, segment_bytes, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
journal = Journal(root, segment_bytes=segment_bytes)
n = journal.last_offset("f") + 1
while True:
    count = rng.choice([1, 1, 3, 50])
    group = [Record(Kind.FRAME, i, b"%d:" % i + b"x" * rng.choice([0, 20, 700])) for i in range(n, n + count)]
    n = journal.append("f", group) + 1
    print(n - 1, flush=True)
"""
HOLDER = """
import sys
from pathlib import Path
from core.records import Kind, Record
from storage.journal import Journal

journal = Journal(Path(sys.argv[1]))
journal.append("f", [Record(Kind.FRAME, 0, b"held")])
print("held", flush=True)
sys.stdin.read()
"""
ONE = [Record(Kind.FRAME, 0, b"one")]


def start(source, *arguments):
    command = [sys.executable, "-c", source, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def check(journal, acknowledged):
    after = -1
    while (block := journal.read("f", after, 777)) is not None:
        assert block.first_offset == after + 1
        for offset, record in enumerate(block.records(), block.first_offset):
            assert record.payload.startswith(b"%d:" % offset)
            assert record.received_at == offset
        after = block.last_offset
    assert after >= acknowledged
    assert journal.last_offset("f") == after


@pytest.mark.parametrize("segment_bytes", [4096, 40_000, 2 << 20])
def test_what_was_acknowledged_survives_kill_9(tmp_path, segment_bytes):
    rng = random.Random(segment_bytes)
    acknowledged = -1
    for turn in range(5):
        child = start(WRITER, tmp_path, segment_bytes, turn)
        lines = [child.stdout.readline()]
        time.sleep(rng.uniform(0, 0.15))
        child.kill()
        lines += child.stdout.readlines()
        child.wait()
        child.stdin.close()
        child.stdout.close()
        acknowledged = max(acknowledged, *(int(line) for line in lines if line.endswith("\n")))
        with Journal(tmp_path) as reader:
            check(reader, acknowledged)
    with Journal(tmp_path, segment_bytes=segment_bytes) as journal:
        end = journal.last_offset("f")
        assert journal.append("f", [Record(Kind.FRAME, end + 1, b"%d:" % (end + 1))]) == end + 1
        check(journal, end + 1)


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path):
    first, second = Journal(tmp_path), Journal(tmp_path)
    first.append("f", ONE)
    with pytest.raises(Busy, match="'f'"):
        second.append("f", ONE)
    assert second.append("g", ONE) == 0
    first.close()
    assert second.append("f", ONE) == 1
    second.close()


def test_kill_9_of_the_writer_frees_the_lease(tmp_path):
    with start(HOLDER, tmp_path) as child, Journal(tmp_path) as journal:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(Busy):
            journal.append("f", ONE)
        assert journal.last_offset("f") == 0
        child.kill()
        child.wait()
        assert journal.append("f", ONE) == 1


def test_readers_at_the_tail_do_not_refuse_a_new_writer(tmp_path):
    with Journal(tmp_path, segment_bytes=1 << 16) as journal:
        journal.append("f", ONE)
    poller = """
import sys
from pathlib import Path
from storage.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("polling", flush=True)
while True:
    journal.read("f", journal.last_offset("f"), 10)
"""
    with start(poller, tmp_path) as child:
        try:
            child.stdout.readline()
            for offset in range(1, 40):
                with Journal(tmp_path, segment_bytes=1 << 16) as journal:
                    assert journal.append("f", ONE) == offset
        finally:
            child.kill()


def test_readers_do_not_see_what_is_not_durable_yet(tmp_path, monkeypatch):
    with Journal(tmp_path) as writer, Journal(tmp_path) as reader:
        writer.append("f", ONE)
        seen = []
        real = writer_module.sync_data

        def sync(fd):
            seen.append(reader.read("f", 0, 10))
            seen.append(reader.last_offset("f"))
            real(fd)

        monkeypatch.setattr(writer_module, "sync_data", sync)
        writer.append("f", ONE)
        assert seen == [None, 0]
        assert reader.read("f", 0, 10).last_offset == 1


def test_an_append_whose_sync_failed_is_not_stored(tmp_path, monkeypatch):
    with Journal(tmp_path) as journal:
        journal.append("f", ONE)

        def fail(fd):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(writer_module, "sync_data", fail)
            with pytest.raises(TransientError, match="Input/output error"):
                journal.append("f", [Record(Kind.FRAME, 0, b"lost" * 99)] * 9)
        assert journal.read("f", 0, 10) is None
        assert journal.append("f", [Record(Kind.TICK, 0, b"next")]) == 1
        assert [record.payload for record in journal.read("f", -1, 10).records()] == [b"one", b"next"]
    with Journal(tmp_path) as journal:
        assert journal.last_offset("f") == 1

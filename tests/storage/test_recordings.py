import gzip
import os
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.errors import UserError
from core.records import Record
from storage import recordings

T0 = 1_736_121_600_000_000_000  # 2025-01-06 00:00 UTC, in ns


def stamped(n: int, seed: int = 0) -> list[bytes]:
    """Lines whose times never step back and often stand still."""
    chosen, at, lines = random.Random(seed), T0, []
    for i in range(n):
        at += chosen.choice((0, 0, 300, 1_000, 5_000_000))
        lines.append(b'%d {"e":"trade","E":%d,"t":%d}' % (at, at // 1_000_000, i))
    return lines


def bare(n: int, seed: int = 0) -> list[bytes]:
    """Frames alone, some without an event time, as acknowledgements and spot book tickers are."""
    chosen, at, lines = random.Random(seed), T0 // 1_000_000, []
    for i in range(n):
        at += chosen.choice((0, 1, 7))
        lines.append(b'{"e":"trade","E":%d,"t":%d}' % (at, i) if i % 5 else b'{"u":%d,"s":"BTCUSDT","b":"1.0"}' % i)
    return lines


def written(path: Path, lines: list[bytes], packed: bool, end: bytes = b"\n") -> Path:
    data = end.join(lines) + end
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    return path


def payloads(paths: list[Path]) -> list[bytes]:
    return [record.payload for record in recordings.frames(paths)]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@given(
    st.sampled_from([stamped, bare]),
    st.sets(st.integers(1, 199), max_size=4),
    st.randoms(use_true_random=False),
    st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_a_recording_in_pieces_is_the_recording(scratch, make, cuts, chosen, packed):
    lines = make(200, seed=len(cuts))
    whole = payloads([written(scratch / "whole", lines, packed=False)])
    assert len(whole) == 200
    edges = [0, *sorted(cuts), 200]
    # A file in which no frame bears a time cannot be placed among others.
    assume(make is stamped or all(any(b'"E"' in line for line in lines[a:b]) for a, b in pairwise(edges)))
    pieces = [
        written(scratch / f"piece{n}", lines[low:high], packed[n]) for n, (low, high) in enumerate(pairwise(edges))
    ]
    chosen.shuffle(pieces)
    assert payloads(pieces) == whole


@given(st.permutations(range(3)))
def test_the_order_of_files_that_overlap_does_not_matter(scratch, order):
    lines = stamped(300)
    files = [written(scratch / f"part{n}", lines[n::3], packed=n == 1) for n in range(3)]
    found = list(recordings.frames([files[n] for n in order]))
    assert found == list(recordings.frames(files))
    times = [record.received_at for record in found]
    assert times == sorted(times)
    assert sorted(record.payload for record in found) == sorted(line.split(b" ", 1)[1] for line in lines)


def test_the_same_lines_however_they_are_separated(tmp_path):
    lines = stamped(50)
    plain = list(recordings.frames([written(tmp_path / "plain", lines, packed=False)]))
    ragged = b"\r\n\r\n  \n".join(lines)
    (tmp_path / "ragged").write_bytes(b"\n\n" + ragged)
    assert list(recordings.frames([tmp_path / "ragged"])) == plain
    assert recordings.check(tmp_path / "ragged")[1] == len(plain) == 50


def test_what_a_line_says(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(
        b'{"result":null,"id":1}\n'
        b'1736121600123456789 {"a":1}\n'
        b'{"stream":"x","data":{"e":"trade","E": 1736121600200}}\n'
        b'{"e":"trade","E":1736121600150}\n'
        b'{"e":"trade","E":1736121600300111}\n'
        b"no frame\n"
        b"123 {}"
    )
    assert [(r.received_at, r.payload[:12]) for r in recordings.frames([file])] == [
        (1736121600123456, b'{"result":nu'),
        (1736121600123456, b'{"a":1}'),
        (1736121600200000, b'{"stream":"x'),
        (1736121600200000, b'{"e":"trade"'),
        (1736121600300111, b'{"e":"trade"'),
        (1736121600300111, b"no frame"),
        (1736121600300111, b"123 {}"),
    ]
    first, count = recordings.check(file)
    assert count == 7
    assert first[1] == b'{"a":1}'


def test_a_gzip_that_is_cut_anywhere_is_refused(tmp_path):
    data = gzip.compress(b"\n".join(stamped(400)) + b"\n")
    file = tmp_path / "cut.gz"
    file.write_bytes(data)
    assert recordings.check(file)[1] == 400
    for length in (*range(2, 30), *range(30, len(data) - 30, 97), *range(len(data) - 30, len(data))):
        file.write_bytes(data[:length])
        with pytest.raises(UserError, match=r"middle of its gzip.*copy it again"):
            recordings.check(file)


@pytest.mark.parametrize("at", [4, 12, 0.5, -6])
def test_a_gzip_that_is_damaged_is_refused(tmp_path, at):
    data = bytearray(gzip.compress(b"\n".join(stamped(400)) + b"\n", mtime=0))
    place = int(at * len(data)) if isinstance(at, float) else at
    file = tmp_path / "damaged.gz"
    data[place] ^= 0xFF
    file.write_bytes(data)
    if at == 4:  # Only the time of packing.
        assert recordings.check(file)[1] == 400
        return
    with pytest.raises(UserError, match="copy it again"):
        recordings.check(file)


def test_members_of_a_gzip_follow_each_other(tmp_path):
    lines = stamped(20)
    file = tmp_path / "two.gz"
    file.write_bytes(gzip.compress(b"\n".join(lines[:9]) + b"\n") + gzip.compress(b"\n".join(lines[9:])))
    assert payloads([file]) == payloads([written(tmp_path / "one", lines, packed=False)])


def test_what_is_no_file_of_lines_is_refused(tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "blank").write_bytes(b"\n \r\n\n")
    monkeypatch.setattr(recordings, "LONGEST_LINE", 1000)
    (tmp_path / "long").write_bytes(b"x" * 1000 + b"\n")
    for name, said in {
        "absent": "No such file",
        "loop": "Too many levels",
        "pipe": "no regular file",
        ".": "is a folder: name the files in it",
        "blank": "is empty: there is nothing",
        "long": "is longer than",
        "x" * 300: "File name too long",
        "a\0b": "null byte",
    }.items():
        with pytest.raises(UserError, match=said) as caught:
            recordings.check(tmp_path / name)
        assert "\n" not in str(caught.value)


_READ = """
import resource, sys
from pathlib import Path
from storage import recordings
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
file = Path(sys.argv[1])
count = recordings.check(file)[1]
assert count == sum(1 for record in recordings.frames([file, file])) / 2
print(peak() - before)
"""


def test_reading_takes_no_more_memory_for_more_frames(tmp_path):
    lines = b"\n".join(stamped(50_000)) + b"\n"
    file = tmp_path / "large.gz"
    with gzip.open(file, "wb", 1) as out:
        for _ in range(8):
            out.write(lines)
    unit = 1024 if sys.platform == "darwin" else 1  # macOS counts bytes
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(file)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(lines) * 8 > 20_000_000
    assert int(done.stdout) // unit < 10_000


def test_recorded_frames_in_two_files(sample):
    files = sorted((sample / "trades").glob("*.ws.gz"))
    there, back = (list(recordings.frames(order)) for order in (files, files[::-1]))
    assert there == back
    assert all(isinstance(record, Record) for record in there)
    assert len(there) == sum(recordings.check(file)[1] for file in files)

import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from core.errors import IntegrityError, JournalFull, TransientError, UserError
from core.records import Kind, Record
from storage.journal import Journal

FRAME = [Record(Kind.FRAME, 1, b"x" * 1000)]
BOUND = 4 * 4096


def fill(journal, count):
    return [journal.append("f", FRAME) for _ in range(count)][-1]


def bytes_on_disk(root):
    return sum(path.stat().st_size for path in root.glob("f/*.seg"))


def test_trim_removes_whole_segments_only(tmp_path):
    with Journal(tmp_path, segment_bytes=4096) as journal:
        fill(journal, 10)
        starts = [int(path.name[:20]) for path in sorted(tmp_path.glob("f/*.seg"))]
        journal.trim("f", starts[1] - 1)
        assert journal.first_offset("f") == 0
        journal.trim("f", starts[2] + 1)
        assert journal.first_offset("f") == starts[2]
        journal.trim("f", 10**9)
        assert journal.first_offset("f") == starts[-1]
        assert journal.append("f", FRAME) == 10
        assert journal.last_offset("f") == 10


def test_reading_what_was_trimmed_names_the_first_kept(tmp_path):
    with Journal(tmp_path, segment_bytes=4096) as journal, Journal(tmp_path) as reader:
        fill(journal, 10)
        assert reader.read("f", -1, 1).first_offset == 0
        journal.trim("f", 7)
        first = journal.first_offset("f")
        assert 0 < first <= 7
        for each in (journal, reader):
            for after in (-1, 0, first - 2):
                with pytest.raises(IntegrityError, match=f"the first kept is {first}"):
                    each.read("f", after, 5)
            assert each.read("f", first - 1, 50).first_offset == first


def test_a_reader_that_was_overtaken_is_told(tmp_path):
    with Journal(tmp_path, segment_bytes=4096) as journal, Journal(tmp_path) as reader:
        fill(journal, 3)
        assert reader.read("f", -1, 100).last_offset == 2
        fill(journal, 9)
        journal.trim("f", 9)
        with pytest.raises(IntegrityError, match="first kept is 9"):
            reader.read("f", 2, 5)


def test_when_full_consumed_segments_go_first_and_the_rest_is_kept(tmp_path):
    with Journal(tmp_path, segment_bytes=4096, max_bytes=BOUND) as journal:
        last = fill(journal, 12)
        assert bytes_on_disk(tmp_path) == BOUND
        journal.consumed("f", "lake", 7)
        journal.consumed("f", "trader", 4)
        assert journal.consumers("f") == {"lake": 7, "trader": 4}
        assert journal.append("f", FRAME) == last + 1
        assert journal.first_offset("f") == 3
        assert bytes_on_disk(tmp_path) <= BOUND
        fill(journal, 2)
        with pytest.raises(JournalFull, match="'trader' stands at 4"):
            journal.append("f", FRAME)
        assert journal.first_offset("f") == 3
        journal.consumed("f", "trader", 7)
        assert journal.append("f", FRAME) == 15


def test_without_a_consumer_nothing_is_dropped(tmp_path):
    with Journal(tmp_path, segment_bytes=4096, max_bytes=BOUND) as journal:
        last = fill(journal, 12)
        for _ in range(2):
            with pytest.raises(JournalFull, match=f"{BOUND} of {BOUND} bytes are unread; no consumer"):
                journal.append("f", FRAME)
        assert journal.read("f", -1, 99).last_offset == last == journal.last_offset("f")
        assert bytes_on_disk(tmp_path) == BOUND


def test_segments_are_made_small_enough_for_the_bound(tmp_path):
    with Journal(tmp_path, max_bytes=4 * 8192) as journal:
        fill(journal, 1)
        assert bytes_on_disk(tmp_path) == 8192


def test_a_group_larger_than_a_segment_has_its_own(tmp_path):
    group = [Record(Kind.FRAME, 1, bytes(10_000)), Record(Kind.FRAME, 2, b"")]
    with Journal(tmp_path, segment_bytes=4096, max_bytes=BOUND) as journal:
        fill(journal, 1)
        assert journal.append("f", group) == 2
        assert list(journal.read("f", 0, 9).records()) == group
        with pytest.raises(UserError, match="larger than the journal"):
            journal.append("f", [Record(Kind.FRAME, 1, bytes(20_000))])
        assert journal.last_offset("f") == 2


def test_positions_outlive_the_process_and_bad_ones_are_refused(tmp_path):
    with Journal(tmp_path) as journal:
        journal.consumed("f", "early", -1)
        fill(journal, 3)
        journal.consumed("f", "lake", 2)
        journal.consumed("f", "lake", 1)
        for consumer, offset in (("lake", 3), ("lake", -2), ("../lake", 1), ("", 1)):
            with pytest.raises(UserError):
                journal.consumed("f", consumer, offset)
    with Journal(tmp_path) as journal:
        assert journal.consumers("f") == {"early": -1, "lake": 1}
    (tmp_path / "f" / "consumers" / "lake").write_text("soon")
    with pytest.raises(IntegrityError, match="lake"):
        journal.consumers("f")


@pytest.mark.parametrize(
    "record",
    [Record(Kind.FRAME, 2**63, b""), Record(300, 1, b""), Record(Kind.FRAME, 1, "text")],
    ids=["time", "kind", "payload"],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, record):
    with Journal(tmp_path) as journal:
        fill(journal, 1)
        with pytest.raises(UserError):
            journal.append("f", [*FRAME, record])
        assert journal.append("f", FRAME) == 1


@pytest.fixture
def small_disk(tmp_path, request):
    """Mount a disk of the given size."""
    mount = shutil.which("mount")
    if mount is None or sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs Linux and root")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    ("small_disk", "segment_bytes"),
    [("256k", 4096), ("256k", 100_000), ("7m", 2 << 20)],
    indirect=["small_disk"],
    ids=["many segments", "two segments", "prepared in the background"],
)
def test_a_full_disk_loses_nothing_and_passes(small_disk, segment_bytes):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(max(100_000, segment_bytes)))
    with Journal(small_disk / "j", segment_bytes=segment_bytes) as journal:
        with pytest.raises(TransientError, match="free some space"):
            fill(journal, 9000)
        for _ in range(3):
            with pytest.raises(TransientError):
                journal.append("f", FRAME)
        stored = journal.last_offset("f")
        assert stored > 5
        assert journal.read("f", -1, 99_999).last_offset == stored
        ballast.unlink()
        assert journal.append("f", FRAME) == stored + 1
    with Journal(small_disk / "j") as journal:
        assert len(journal.read("f", -1, 99_999)) == stored + 2


LIMITED = """
import resource, sys
from pathlib import Path
from core.errors import TransientError
from core.records import Kind, Record
from storage.journal import Journal

hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
journal = Journal(Path(sys.argv[1]), segment_bytes=4096)
for i in range(5):
    journal.append("f", [Record(Kind.FRAME, i, b"x" * 1000)])
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
for _ in range(3):
    try:
        for i in range(5):
            journal.append("f", [Record(Kind.FRAME, i, b"x" * 1000)])
    except TransientError:
        continue
    sys.exit("a limit of 3000 bytes a file was not noticed")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(journal.append("f", [Record(Kind.FRAME, 9, b"after")]), journal.last_offset("f"))
"""


def test_a_write_cut_short_by_a_limit_damages_nothing(tmp_path):
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] != 3000
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    appended, last = map(int, done.stdout.split())
    with Journal(tmp_path) as journal:
        block = journal.read("f", -1, 99)
        assert block.last_offset == last == appended
        assert list(block.records())[-1].payload == b"after"
        assert set(block.sizes[:-1].tolist()) == {1000}

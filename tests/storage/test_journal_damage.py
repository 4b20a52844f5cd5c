import os
import struct
import zlib
from pathlib import Path

import pytest

from core.errors import IntegrityError, UserError
from core.records import Kind, Record
from storage.journal import Journal

GROUPS = [
    [Record(Kind.FRAME, 10 * g + i, b"frame %d of group %d" % (i, g) + bytes(i)) for i in range(3)] for g in range(3)
]
RECORDS = [record for group in GROUPS for record in group]
HEADER = 36
"""Bytes of a segment's header that mean something."""
MORE = [Record(Kind.MARK, 99, b"after the damage")]


def read_all(root, limit=100):
    with Journal(root) as journal:
        after, found = -1, []
        while (block := journal.read("f", after, limit)) is not None:
            found += block.records()
            after = block.last_offset
        return found


@pytest.fixture
def segment(tmp_path) -> Path:
    """Give a segment that holds the three groups; its writer is gone."""
    with Journal(tmp_path / "j", segment_bytes=4096) as journal:
        for group in GROUPS:
            journal.append("f", group)
    return tmp_path / "j" / "f" / f"{0:020d}.seg"


def ends(segment: Path) -> list[int]:
    """Give where each block ends, from the format's own description."""
    raw, at, found = segment.read_bytes(), 64, []
    while raw[at : at + 4] == b"\xf1\xed\x01\xb7":
        at += 24 + struct.unpack_from("<I", raw, at + 8)[0]
        found.append(at)
    return found


def whole(cut: int, blocks: list[int]) -> list[Record]:
    return [record for group, end in zip(GROUPS, blocks, strict=True) if end <= cut for record in group]


@pytest.mark.parametrize("torn_to_zeros", [False, True], ids=["cut", "zeros"])
@pytest.mark.parametrize("start", range(8))
def test_a_last_append_torn_at_any_byte_is_the_end(segment, start, torn_to_zeros):
    blocks, raw, root = ends(segment), segment.read_bytes(), segment.parent.parent
    assert len(blocks) == 3
    for cut in range(start, blocks[-1] + 2, 8):
        if torn_to_zeros and 0 < cut < HEADER:
            continue  # a segment gets its name after its header is durable
        # Never acknowledged, so no mark speaks of it.
        (segment.parent / "writer").unlink(missing_ok=True)
        for old in segment.parent.glob("*.seg"):
            old.unlink()
        segment.write_bytes(raw[:cut] + (bytes(len(raw) - cut) if torn_to_zeros else b""))
        kept = whole(cut, blocks)
        assert read_all(root) == kept
        with Journal(root, segment_bytes=4096) as journal:
            assert journal.append("f", MORE) == len(kept)
        assert read_all(root) == kept + MORE


def test_no_offset_is_given_out_twice_when_acknowledged_records_are_gone(segment, capsys):
    blocks, root = ends(segment), segment.parent.parent
    os.truncate(segment, blocks[1] + 5)
    assert read_all(root) == RECORDS[:6]
    with Journal(root, segment_bytes=4096) as journal, Journal(root) as reader:
        assert reader.read("f", 2, 100).last_offset == 5
        assert journal.append("f", MORE) == 9
        block = reader.read("f", 5, 100)
        assert (block.first_offset, list(block.records())) == (9, MORE)
        assert reader.read("f", 9, 100) is None
        assert reader.read("f", 0, 100).last_offset == 5
        assert reader.last_offset("f") == 9
    assert "journal_records_lost" in capsys.readouterr().out
    with Journal(root) as journal:
        assert journal.append("f", MORE) == 10


def test_a_segment_cut_before_its_header_is_replaced_behind_what_was_given_out(segment):
    root = segment.parent.parent
    os.truncate(segment, 11)
    with Journal(root, segment_bytes=4096) as journal:
        assert journal.append("f", MORE) == 9
        assert list(journal.read("f", 8, 5).records()) == MORE
        with pytest.raises(IntegrityError, match="first kept is 9"):
            journal.read("f", -1, 5)


@pytest.mark.parametrize("live", [False, True], ids=["no writer", "writer"])
def test_a_flipped_byte_never_yields_a_wrong_record(segment, live):
    blocks, raw, root = ends(segment), segment.read_bytes(), segment.parent.parent
    writer = Journal(root, segment_bytes=4096)
    if live:
        assert writer.append("f", []) == 8
    for at in range(blocks[-1]):
        damaged = bytearray(raw)
        damaged[at] ^= 1 << at % 8
        with segment.open("r+b") as file:
            file.write(damaged)
        if HEADER <= at < 64:
            assert read_all(root, limit=2) == RECORDS
        elif at >= blocks[1] and not live:
            # The last append may pass for a torn one, while nobody writes.
            assert read_all(root, limit=2) == RECORDS[:6]
        else:
            with pytest.raises((IntegrityError, UserError), match=segment.name):
                read_all(root, limit=2)
    writer.close()


def test_a_writer_refuses_to_cut_what_was_stored(segment):
    raw = bytearray(segment.read_bytes())
    raw[ends(segment)[0] + 30] ^= 1
    segment.write_bytes(raw)
    with Journal(segment.parent.parent) as journal, pytest.raises(IntegrityError, match=segment.name):
        journal.append("f", MORE)
    assert segment.read_bytes() == raw


@pytest.mark.parametrize("cut", [False, True], ids=["flipped", "cut"])
def test_damage_before_later_segments_is_refused(tmp_path, cut):
    with Journal(tmp_path, segment_bytes=4096) as journal:
        for i in range(40):
            journal.append("f", [Record(Kind.FRAME, i, b"x" * 300)])
    first, second, *_ = sorted(tmp_path.glob("f/*.seg"))
    damaged = ends(first)[-2]
    at = damaged + 40
    if cut:
        os.truncate(first, at)
    else:
        with first.open("r+b") as file:
            file.seek(at)
            file.write(b"\xff")
    following = int(second.name[:20])
    with Journal(tmp_path) as journal:
        assert journal.read("f", -1, 1000).last_offset == following - 2
        with pytest.raises(IntegrityError, match=f"{first.name} cannot be read at byte {damaged} "):
            journal.read("f", following - 2, 1000)
        assert journal.read("f", following - 1, 1).first_offset == following


def test_a_missing_segment_in_the_middle_is_refused(tmp_path):
    with Journal(tmp_path, segment_bytes=4096) as journal:
        for i in range(40):
            journal.append("f", [Record(Kind.FRAME, i, b"x" * 300)])
    _, second, *_ = sorted(tmp_path.glob("f/*.seg"))
    second.unlink()
    with pytest.raises(IntegrityError):
        read_all(tmp_path)


def test_an_older_segment_in_the_place_of_another_is_refused(tmp_path):
    with Journal(tmp_path, segment_bytes=4096) as journal:
        for i in range(40):
            journal.append("f", [Record(Kind.FRAME, i, b"x" * 300)])
    first, second, *_ = sorted(tmp_path.glob("f/*.seg"))
    second.write_bytes(first.read_bytes())
    with pytest.raises(IntegrityError, match=second.name):
        read_all(tmp_path)


def test_a_newer_format_is_refused(segment):
    raw = bytearray(segment.read_bytes())
    struct.pack_into("<I", raw, 8, 2)
    struct.pack_into("<I", raw, 32, zlib.crc32(raw[:32]))
    segment.write_bytes(raw)
    with Journal(segment.parent.parent) as journal:
        for use in (lambda: journal.read("f", -1, 1), lambda: journal.append("f", MORE)):
            with pytest.raises(UserError, match="written by a newer Tidemill"):
                use()
    assert segment.read_bytes() == raw


def test_a_torn_mark_hides_nothing(segment):
    mark = segment.parent / "writer"
    for torn in (b"", mark.read_bytes()[:7], bytes(16)):
        mark.write_bytes(torn)
        assert read_all(segment.parent.parent) == RECORDS
    with Journal(segment.parent.parent) as journal:
        assert journal.append("f", MORE) == 9


def test_a_mark_from_before_a_power_cut_hides_nothing(segment, tmp_path):
    mark = segment.parent / "writer"
    with Journal(tmp_path / "k", segment_bytes=4096) as journal:
        journal.append("f", GROUPS[0])
    mark.write_bytes((tmp_path / "k" / "f" / "writer").read_bytes())
    assert read_all(segment.parent.parent) == RECORDS
    with Journal(segment.parent.parent) as journal:
        assert journal.last_offset("f") == 8
        assert journal.append("f", MORE) == 9

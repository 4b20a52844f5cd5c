import os
import tempfile
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import Kind, Record
from storage.journal import Journal
from storage.journal.block import MAGIC, draft

SAMPLE = Path(os.environ.get("TIDEMILL_SAMPLE", Path(__file__).parents[3] / "shared" / "sample"))

_looks_like_a_block = draft([Record(Kind.FRAME, 1, b"quoted")], 0).placed(0, 64)
payloads = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\n", b"\n\n\n", bytes(64), MAGIC, MAGIC * 9, _looks_like_a_block, b"TIDEMILL" * 8]),
    st.integers(0, 9000).map(lambda n: b"\0\n" * n),
)
records = st.builds(Record, st.sampled_from(Kind), st.integers(-(2**63), 2**63 - 1), payloads)
groups = st.lists(st.lists(records, max_size=12), max_size=12)
segments = st.sampled_from([4096, 5000, 20_000, 3 << 20])


def read_all(journal, feed, limit, after=-1):
    found = []
    while (block := journal.read(feed, after, limit)) is not None:
        assert 0 < len(block) <= limit
        assert block.first_offset == after + 1
        assert block.feed == feed
        found += block.records()
        after = block.last_offset
    return found


@settings(max_examples=60, deadline=None)
@given(groups, segments, st.integers(1, 40))
def test_what_is_read_is_what_was_appended(groups, segment_bytes, limit):
    with tempfile.TemporaryDirectory() as root, Journal(Path(root) / "j", segment_bytes=segment_bytes) as journal:
        expected = []
        for group in groups:
            expected += group
            assert journal.append("binance", group) == len(expected) - 1
        assert read_all(journal, "binance", limit) == expected
        assert journal.last_offset("binance") == len(expected) - 1
        with Journal(Path(root) / "j") as other:
            assert read_all(other, "binance", limit) == expected
            assert other.last_offset("binance") == len(expected) - 1


@settings(max_examples=40, deadline=None)
@given(groups, segments, st.data())
def test_any_place_can_be_read_in_any_order(groups, segment_bytes, data):
    with tempfile.TemporaryDirectory() as root, Journal(Path(root), segment_bytes=segment_bytes) as journal:
        expected = [record for group in groups for record in group]
        for group in groups:
            journal.append("f", group)
        for _ in range(8):
            after = data.draw(st.integers(-1, len(expected) + 3))
            limit = data.draw(st.integers(1, len(expected) + 3))
            block = journal.read("f", after, limit)
            assert (list(block.records()) if block else []) == expected[after + 1 : after + 1 + limit]


@settings(max_examples=40, deadline=None)
@given(groups, segments, st.lists(st.integers(1, 9), min_size=1))
def test_a_reader_that_follows_sees_each_record_once(groups, segment_bytes, limits):
    with (
        tempfile.TemporaryDirectory() as root,
        Journal(Path(root), segment_bytes=segment_bytes) as writer,
        Journal(Path(root)) as reader,
    ):
        after, seen, expected = -1, [], []
        for turn, group in enumerate(groups):
            writer.append("f", group)
            expected += group
            block = reader.read("f", after, limits[turn % len(limits)])
            if block is not None:
                seen += block.records()
                after = block.last_offset
            assert reader.last_offset("f") == len(expected) - 1
        assert seen + read_all(reader, "f", 5, after) == expected


@settings(max_examples=25, deadline=None)
@given(groups, segments, st.integers(1, 40))
def test_reopening_between_appends_changes_nothing(groups, segment_bytes, limit):
    with tempfile.TemporaryDirectory() as root:
        expected = []
        for group in groups:
            expected += group
            with Journal(Path(root), segment_bytes=segment_bytes) as journal:
                assert journal.append("f", group) == len(expected) - 1
        with Journal(Path(root)) as journal:
            assert read_all(journal, "f", limit) == expected


def test_several_appends_come_as_one_block(tmp_path):
    with Journal(tmp_path, segment_bytes=4096) as journal:
        for i in range(100):
            journal.append("f", [Record(Kind.FRAME, i, b"%d" % i * 60)])
        block = journal.read("f", -1, 1000)
        assert len(list(tmp_path.glob("f/*.seg"))) > 1
        assert len(block) == 100
        assert block.received.tolist() == list(range(100))


def test_a_segment_prepared_in_the_background_is_used(tmp_path):
    group = [Record(Kind.FRAME, 1, bytes(100_000))] * 10
    with Journal(tmp_path, segment_bytes=2 << 20) as journal:
        for _ in range(12):
            journal.append("f", group)
        assert len(read_all(journal, "f", 7)) == 120
    assert sorted(path.name for path in (tmp_path / "f").iterdir() if path.suffix != ".seg") == ["writer"]


def test_feeds_do_not_mix(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append("a", [Record(Kind.FRAME, 1, b"a")])
        journal.append("b", [Record(Kind.TICK, 2, b"b")] * 2)
        assert journal.feeds() == ["a", "b"]
        assert read_all(journal, "a", 9) == [Record(Kind.FRAME, 1, b"a")]
        assert journal.last_offset("b") == 1


@pytest.mark.sample
@pytest.mark.skipif(not SAMPLE.exists(), reason="no recorded market data (TIDEMILL_SAMPLE)")
def test_recorded_frames_come_back(tmp_path):
    files = sorted((SAMPLE / "ws").glob("*.ws.*"))
    assert files, "the sample holds no recorded frames"
    with Journal(tmp_path, segment_bytes=1 << 20) as journal:
        for number, file in enumerate(files):
            with file.open("rb") as lines:
                frames = [line.rstrip(b"\n") for line in islice(lines, 5000)]
            expected = [Record(Kind.FRAME, i, frame) for i, frame in enumerate(frames)]
            for start in range(0, len(expected), 97):
                journal.append(f"sample-{number}", expected[start : start + 97])
            assert read_all(journal, f"sample-{number}", 1000) == expected

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from core.errors import Busy, JournalFull
from core.records import Kind, Mark, Record
from core.settings import JournalSettings
from dataflows.recorder import commit_log
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.metrics import RecorderMetrics
from storage.journal import Journal

TINY = JournalSettings(segment_bytes=4096, max_bytes=16_384)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(commit_log, "RETRY_SECONDS", 0.02)


def started(folder, journal, limits=JournalSettings(), bound=1 << 20, follow=lambda block: None, registry=None):  # noqa: B008
    metrics = RecorderMetrics(registry or CollectorRegistry()).of("f")
    return CommitLog(journal, "f", bound, limits, folder, follow, metrics)


def stored(journal):
    found, after = [], -1
    while (block := journal.read("f", after, 1000)) is not None:
        found.extend((record.kind, record.received_at, record.payload) for record in block.records())
        after = block.last_offset
    return found


PUTS = st.lists(st.lists(st.binary(max_size=40), max_size=20) | st.just("mark"), max_size=25)


@settings(max_examples=12)
@given(PUTS)
def test_what_is_put_is_stored_once_in_order_and_followed(tmp_path_factory, puts):
    folder = tmp_path_factory.mktemp("log")
    expected, followed, registry = [], [], CollectorRegistry()

    async def run(journal):
        log = started(folder, journal, follow=lambda block: followed.extend(block.records()), registry=registry)
        await log.open()
        for number, put in enumerate(puts):
            if put == "mark":
                log.put(Mark("connected", str(number)).record(number))
                expected.append((Kind.MARK, number, Mark("connected", str(number)).record(0).payload))
            else:
                log.put_frames(put, number)
                expected.extend((Kind.FRAME, number, frame) for frame in put)
        await log.flushed()
        assert stored(journal) == expected
        assert [(r.kind, r.received_at, r.payload) for r in followed] == expected
        assert (log.waiting, log.last_offset) == (0, len(expected) - 1)
        await log.close()

    with Journal(folder) as journal:
        asyncio.run(run(journal))
    frames = sum(len(put) for put in puts if put != "mark")
    assert registry.get_sample_value("tidemill_recorder_frames_total", {"feed": "f"}) == frames


def test_closing_makes_durable_what_waits(tmp_path):
    async def run(journal):
        log = started(tmp_path, journal)
        await log.open()
        for number in range(500):
            log.put_frames([b"%d" % number], number)
        await log.close()

    with Journal(tmp_path) as journal:
        asyncio.run(run(journal))
        assert [payload for _, _, payload in stored(journal)] == [b"%d" % number for number in range(500)]


def test_a_second_recorder_is_refused_and_changes_nothing(tmp_path):
    async def run(first, second):
        log = started(tmp_path, first)
        await log.open()
        with pytest.raises(Busy, match="'f'"):
            await started(tmp_path, second).open()
        log.put_frames([b"one"], 1)
        await log.close()
        assert stored(second) == [(Kind.FRAME, 1, b"one")]

    with Journal(tmp_path) as first, Journal(tmp_path) as second:
        asyncio.run(run(first, second))


async def until(log, condition):
    while not condition():
        await log.changed.wait()
        log.changed.clear()


def test_a_full_journal_is_told_and_waited_out_and_nothing_is_lost(tmp_path):
    frames = [b"%04d" % number + b"x" * 200 for number in range(200)]

    async def run(journal):
        log = started(tmp_path, journal, TINY, bound=10_000)
        await log.open()
        for number, frame in enumerate(frames):
            log.put_frames([frame], number)
        await until(log, lambda: log.stall is not None)
        assert log.stall.cause == "journal_full"
        assert log.waiting > 10_000
        blocked = asyncio.create_task(log.room())
        await asyncio.sleep(0.05)
        assert not blocked.done()
        seen = []
        while len(seen) < len(frames):
            if (block := journal.read("f", len(seen) - 1, 1000)) is not None:
                seen.extend(record.payload for record in block.records())
                journal.consumed("f", "reader", len(seen) - 1)
            await asyncio.sleep(0.01)
        assert seen == frames
        await blocked
        await log.flushed()
        assert (log.stall, log.waiting) == (None, 0)
        await log.close()

    with Journal(tmp_path, segment_bytes=4096, max_bytes=16_384) as journal:
        asyncio.run(asyncio.wait_for(run(journal), 30))


def test_a_stop_while_the_journal_is_full_ends(tmp_path):
    async def run(journal):
        log = started(tmp_path, journal, TINY)
        await log.open()
        for number in range(200):
            log.put_frames([b"%04d" % number + b"x" * 200], number)
        await until(log, lambda: log.stall is not None)
        await log.close()
        assert isinstance(log.error, JournalFull)

    with Journal(tmp_path, segment_bytes=4096, max_bytes=16_384) as journal:
        asyncio.run(asyncio.wait_for(run(journal), 30))
        payloads = [payload[:4] for _, _, payload in stored(journal)]
    assert payloads == [b"%04d" % number for number in range(len(payloads))]


def test_a_full_disk_has_a_cause_of_its_own(tmp_path, monkeypatch):
    left = [1024]
    monkeypatch.setattr("dataflows.room.free_bytes", lambda path: left[0])

    async def run(journal):
        log = started(tmp_path, journal)
        await log.open()
        log.put_frames([b"one"], 1)
        await until(log, lambda: log.stall is not None)
        assert log.stall.cause == "disk"
        assert stored(journal) == []
        left[0] = 1 << 40
        await log.flushed()
        assert stored(journal) == [(Kind.FRAME, 1, b"one")]
        await log.close()

    with Journal(tmp_path) as journal:
        asyncio.run(asyncio.wait_for(run(journal), 30))


def test_what_breaks_in_the_writing_thread_is_told(tmp_path):
    async def run(journal):
        def follow(block):
            raise ZeroDivisionError("broken")

        log = started(tmp_path, journal, follow=follow)
        await log.open()
        log.put(Record(Kind.FRAME, 1, b"one"))
        await log.flushed()
        await until(log, lambda: log.error is not None)
        assert isinstance(log.error, ZeroDivisionError)
        await log.room()
        await log.close()

    with Journal(tmp_path) as journal:
        asyncio.run(asyncio.wait_for(run(journal), 30))
        assert stored(journal) == [(Kind.FRAME, 1, b"one")]

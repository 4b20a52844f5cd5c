"""Recordings: raw frames of a venue in a file, a line each, plain or gzip.

A line is ``local_ns {json}`` (when it was received, in nanoseconds since the epoch) or the bare JSON.
"""

import gzip
import heapq
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.errors import UserError
from core.records import Kind, Record

LONGEST_LINE = 16 * 1024 * 1024
"""What is longer, in bytes, is no frame of any venue."""

_FIRST = 1_000
_STAMPED = re.compile(rb"(\d{16,19}) (.*)", re.DOTALL)
_EVENT_TIME = re.compile(rb'"E":\s*(\d{13,16})\b')


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read its bytes, those inside where it is gzip.

    Raises `UserError`, also while it is read, where it is no regular file (it is read more than once), cannot be
    read, or is gzip that is damaged or cut off.
    """
    try:
        _refuse_irregular(path)
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.open(raw, "rb") as inside:
                    yield inside  # type: ignore[misc]
            else:
                yield raw
    except EOFError:
        raise UserError(
            f"{path} ends in the middle of its gzip data: copy it again, or unpack what is left"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged gzip ({error}): copy it again") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot read {path}: {reason}; name a file that can be read") from None


def check(path: Path) -> tuple[list[bytes], int]:
    """Read a file through once, storing nothing; give its first frames (at most 1,000) and how many there are.

    Raises `UserError` where it cannot be read to its end or is no text of lines.
    """
    first: list[bytes] = []
    count = 0
    with unpacked(path) as file:
        for line in _lines(path, file):
            count += 1
            if len(first) < _FIRST:
                first.append(_split(line, 0)[1])
    if not first:
        raise UserError(f"{path} is empty: there is nothing to replay")
    return first, count


def frames(paths: Sequence[Path]) -> Iterator[Record]:
    """Yield the frames of all files in the order in which they were received, whatever the order of the files.

    Bare JSON is placed by its event time; a frame without one stays behind the frame before it, and before the
    first one that has a time. Lines that are no frame are yielded as they are: decoding them puts them into
    quarantine. Of each file one line is in memory.
    """
    # Of frames of one time those of the file that begins earlier go first, as they would in one file.
    begun = sorted((_first_time(path), path.name, str(path), path) for path in paths)
    streams = [_records(path, at) for at, _, _, path in begun]
    yield from heapq.merge(*streams, key=lambda record: record.received_at)


def _refuse_irregular(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise UserError(f"{path} is a folder: name the files in it")
    if not stat.S_ISREG(mode):
        raise UserError(f"{path} is no regular file, and it is read more than once: save it to a file first")


def _lines(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise UserError(f"{path} is no recording: a line of it is longer than {LONGEST_LINE >> 20} MiB")
        if text := line.strip():
            yield text


def _first_time(path: Path) -> int:
    with unpacked(path) as file:
        return next((at for at, _ in (_split(line, 0) for line in _lines(path, file)) if at), 0)


def _records(path: Path, at: int) -> Iterator[Record]:
    with unpacked(path) as file:
        for line in _lines(path, file):
            at, frame = _split(line, at)
            yield Record(Kind.FRAME, at, frame)


def _split(line: bytes, before: int) -> tuple[int, bytes]:
    if stamped := _STAMPED.fullmatch(line):
        return int(stamped[1]) // 1_000, stamped[2]
    if event := _EVENT_TIME.search(line):
        time = int(event[1])
        return max(before, time * 1_000 if time < 10**14 else time), line
    return before, line

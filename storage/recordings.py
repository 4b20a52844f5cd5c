"""Recordings: raw frames of a venue in a file, a line each, plain or gzip.

A line is ``local_ns {json}`` (when it was received, in nanoseconds since the epoch) or the bare JSON.
"""

import gzip
import heapq
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.errors import UserError
from core.records import Kind, Record

LONGEST_LINE = 16 * 1024 * 1024
"""What is longer, in bytes, is no frame of any venue."""

_STAMPED = re.compile(rb"(\d{16,20}) (.*)", re.DOTALL)
_EVENT_TIME = re.compile(rb'"E":\s*(\d{13,16})')


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.open(raw, "rb") as unpacked:
                    yield unpacked  # type: ignore[misc]
            else:
                yield raw
    except EOFError:
        raise UserError(
            f"{path} ends in the middle of its gzip data: copy it again, or unpack what is left"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged gzip ({error}): copy it again") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: name the files in it") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None


def check(path: Path) -> tuple[list[bytes], int]:
    """Read a file through once, storing nothing; give its first frames (at most 1,000) and how many lines it has.

    Raises `UserError` where it cannot be read to its end or is no text of lines.
    """
    first: list[bytes] = []
    count = 0
    with _open(path) as lines:
        while line := lines.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise UserError(f"{path} is no recording: a line of it is longer than {LONGEST_LINE >> 20} MiB")
            count += 1
            if len(first) < 1_000 and line.strip():
                first.append(_split(line.strip(), 0)[1])
    if not first:
        raise UserError(f"{path} is empty: there is nothing to replay")
    return first, count


def frames(paths: Sequence[Path]) -> Iterator[Record]:
    """Yield the frames of all files in the order in which they were received, whatever the order of the files.

    Bare JSON is placed by its event time; a frame without one stays behind the frame before it. Lines that are no
    frame are yielded as they are: decoding them puts them into quarantine.
    """
    streams: list[Iterable[Record]] = [_records(path) for path in paths]
    yield from heapq.merge(*streams, key=lambda record: record.received_at)


def _records(path: Path) -> Iterator[Record]:
    at = 0
    with _open(path) as lines:
        for line in lines:
            text = line.strip()
            if text:
                at, frame = _split(text, at)
                yield Record(Kind.FRAME, at, frame)


def _split(line: bytes, before: int) -> tuple[int, bytes]:
    if stamped := _STAMPED.fullmatch(line):
        return int(stamped[1]) // 1_000, stamped[2]
    if event := _EVENT_TIME.search(line):
        time = int(event[1])
        return max(before, time * 1_000 if time < 10**14 else time), line
    return before, line

"""tidemill parse: frames in, records out."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from core.errors import MalformedFrame, UserError
from exchanges.registry import venue as venue_named

_LONGEST_LINE = 16 * 1024 * 1024
_GZIP = b"\x1f\x8b"


def parse(
    venue: Annotated[str, typer.Argument(metavar="VENUE", help="A name that `tidemill venues` lists.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="Frames, one a line, plain or gzip; - is stdin.")],
) -> None:
    r"""Print the records that frames of a venue hold, one JSON object a line.

    A line is a frame, or the local time in ns, a space and a frame. Times are µs since the epoch (UTC); price
    and size are the venue's own text; side is the taker's. A line that cannot be read as the venue's protocol
    gives {"type": "malformed", "line": n, "reason": ...} and the work goes on. The count stands on stderr.

    Example: tidemill parse binance recording.ws.gz | head
    """
    source = venue_named(venue)
    encode = msgspec.json.Encoder().encode
    out = sys.stdout.buffer
    lines = records = malformed = 0
    with _opened(file) as stream:
        for lines, frame, received_at in _frames(stream, file):
            try:
                if frame is None:
                    raise MalformedFrame(f"a line of more than {_LONGEST_LINE >> 20} MiB is no frame")
                found = source.parse(frame, received_at)
            except MalformedFrame as error:
                malformed += 1
                out.write(encode({"type": "malformed", "line": lines, "reason": str(error)}) + b"\n")
                continue
            records += len(found)
            for record in found:
                out.write(encode(record) + b"\n")
    out.flush()
    sys.stderr.write(f"{lines:,} lines, {records:,} records, {malformed:,} malformed\n")


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield _unpacked(sys.stdin.buffer)
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed by the `with` below
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    with stream:
        yield _unpacked(stream)


def _unpacked(stream: io.BufferedReader | BinaryIO) -> BinaryIO:
    peek = getattr(stream, "peek", None)
    if peek is not None and peek(2)[:2] == _GZIP:
        return io.BufferedReader(gzip.GzipFile(fileobj=stream), 1 << 20)
    return stream


def _frames(stream: BinaryIO, file: str) -> Iterator[tuple[int, bytes | None, int]]:
    """Yield line number, frame (None: the line is too long) and receive time; blank lines are skipped."""
    number = 0
    try:
        while line := stream.readline(_LONGEST_LINE):
            number += 1
            whole = True
            while (
                not line.endswith(b"\n") and len(line) == _LONGEST_LINE and (line := stream.readline(_LONGEST_LINE))
            ):
                whole = False
            if not whole:
                yield number, None, 0
                continue
            line = line.strip()
            if line:
                yield number, *_split(line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MalformedFrame(f"{file}: the gzip data is damaged after line {number}: {error}") from None
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None


def _split(line: bytes) -> tuple[bytes, int]:
    head, space, rest = line.partition(b" ")
    if space and len(head) <= 19 and head.isdigit():
        return rest, int(head) // 1000
    return line, 0

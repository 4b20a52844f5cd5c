r"""One appended group of records, as it stands in a segment.

Layout, little-endian: magic u8[4], crc32 u32, body length u32, count n u32, first offset u64, then the body:
kinds u8[n], received i64[n], sizes u32[n], payload with a newline after each record. The checksum covers all
that follows it and is seeded with the segment's nonce and the block's position, so that no block is taken for
one at another place: not what a deleted file left on the medium, not a payload that quotes a journal.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.errors import UserError
from core.records import Record, RecordBlock

_HEADER = struct.Struct("<4sIIIQ")
_PREFIX = struct.Struct("<4sI")
_COVERED = struct.Struct("<IIQ")
MAGIC = b"\xf1\xed\x01\xb7"
HEADER_BYTES = _HEADER.size
COLUMN_BYTES = 1 + 8 + 4
LARGEST = 1 << 30
"""Bytes of one block at most."""


class Block(NamedTuple):
    """Say where a verified block stands: first byte of its body in the buffer, its records, its length."""

    body: int
    records: int
    first_offset: int
    length: int


class Draft(NamedTuple):
    """Hold an encoded block that waits for its place."""

    parts: list[bytes]
    length: int

    def placed(self, nonce: int, position: int) -> bytes:
        """Give the bytes to write at ``position`` of the segment with ``nonce``."""
        crc = seed(nonce, position)
        for part in self.parts:
            crc = zlib.crc32(part, crc)
        return b"".join((_PREFIX.pack(MAGIC, crc), *self.parts))


def seed(nonce: int, position: int) -> int:
    """Give the checksum's seed: a crc32 differs wherever its seed differs."""
    return (nonce ^ position) & 0xFFFFFFFF


def draft(records: Sequence[Record], first_offset: int) -> Draft:
    """Encode records; raise `UserError` for what the format cannot hold."""
    payloads = [record.payload for record in records]
    sizes = list(map(len, payloads))
    count = len(sizes)
    body = count * (COLUMN_BYTES + 1) + sum(sizes)
    if body > LARGEST:
        raise UserError(f"{count} records of {body} bytes are more than one append takes: {LARGEST} bytes at most")
    try:
        columns = struct.pack(f"<{count}q{count}I", *[record.received_at for record in records], *sizes)
        kinds = bytes([record.kind for record in records])
        payloads.append(b"")
        payload = b"\n".join(payloads)
    except (struct.error, ValueError, TypeError) as error:
        raise UserError(f"these records cannot be written: {error}") from None
    parts = [_COVERED.pack(body, count, first_offset), kinds, columns, payload]
    return Draft(parts, HEADER_BYTES + body)


def measured(buffer: bytes, at: int) -> int | None:
    """Give the length that the block at ``at`` claims, or None if no block begins there.

    ``buffer`` must hold the block's header; nothing is verified yet.
    """
    magic, _, length, count, _ = _HEADER.unpack_from(buffer, at)
    if magic != MAGIC or count == 0 or length > LARGEST or length < count * (COLUMN_BYTES + 1):
        return None
    return HEADER_BYTES + int(length)


def verified(buffer: bytes, at: int, length: int, start: int) -> Block | None:
    """Give the block of ``length`` bytes at ``at`` if its checksum, seeded with ``start``, holds."""
    _, crc, _, count, first_offset = _HEADER.unpack_from(buffer, at)
    if zlib.crc32(memoryview(buffer)[at + _PREFIX.size : at + length], start) != crc:
        return None
    return Block(at + HEADER_BYTES, count, first_offset, length)


class Columns:
    """Gather runs of records out of blocks; each run costs four slices, whatever its length."""

    def __init__(self) -> None:
        self.count = 0
        self._kinds: list[memoryview] = []
        self._received: list[memoryview] = []
        self._sizes: list[memoryview] = []
        self._payload: list[memoryview] = []

    def take(self, buffer: bytes, block: Block, skip: int, skip_bytes: int, count: int) -> int:
        """Add ``count`` records of a block after its first ``skip``; give the payload bytes taken.

        ``skip_bytes`` is what the skipped records occupy in the payload.
        """
        view = memoryview(buffer)
        received = block.body + block.records
        sizes = received + 8 * block.records
        payload = sizes + 4 * block.records
        self.count += count
        self._kinds.append(view[block.body + skip : block.body + skip + count])
        self._received.append(view[received + 8 * skip : received + 8 * (skip + count)])
        mine = view[sizes + 4 * skip : sizes + 4 * (skip + count)]
        self._sizes.append(mine)
        end = block.body - HEADER_BYTES + block.length
        low = payload + skip_bytes
        high = end if skip + count == block.records else low + _occupied(mine)
        self._payload.append(view[low:high])
        return high - low

    def joined(self, feed: str, first_offset: int) -> RecordBlock:
        """Give all that was taken as one block of records."""
        return RecordBlock(
            feed,
            first_offset,
            np.frombuffer(b"".join(self._kinds), np.uint8),
            np.frombuffer(b"".join(self._received), "<i8"),
            np.frombuffer(b"".join(self._sizes), "<u4").astype(np.int64),
            b"".join(self._payload),
        )


def skipped_bytes(buffer: bytes, block: Block, skip: int) -> int:
    """Give what the first ``skip`` records of a block occupy in its payload."""
    sizes = block.body + 9 * block.records
    return _occupied(memoryview(buffer)[sizes : sizes + 4 * skip])


def _occupied(sizes: memoryview) -> int:
    column = np.frombuffer(sizes, "<u4")
    return int(column.sum(dtype=np.int64)) + len(column)

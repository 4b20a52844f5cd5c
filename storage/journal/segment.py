"""The first bytes of a segment file.

Layout, little-endian, 64 bytes: magic ``TIDEMILL``, version u32, nonce u32, first offset u64, previous end u64,
crc32 u32 of all that, zeros. ``previous end`` is the offset that would have followed the segment before; it
equals ``first offset`` unless acknowledged records were lost in between (see `FeedWriter`).
"""

import secrets
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from core.errors import IntegrityError, UserError

HEADER_BYTES = 64
_VERSION = 1
_MAGIC = b"TIDEMILL"
_FIELDS = struct.Struct("<8sIIQQ")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """Hold what a segment says of itself."""

    nonce: int
    first_offset: int
    previous_end: int

    @classmethod
    def fresh(cls, first_offset: int, previous_end: int) -> "SegmentHeader":
        """Build the header of a new segment."""
        return cls(secrets.randbits(32), first_offset, previous_end)

    def encode(self) -> bytes:
        """Give the header's 64 bytes."""
        fields = _FIELDS.pack(_MAGIC, _VERSION, self.nonce, self.first_offset, self.previous_end)
        return (fields + _CRC.pack(zlib.crc32(fields))).ljust(HEADER_BYTES, b"\0")

    @classmethod
    def decode(cls, raw: bytes, path: Path) -> "SegmentHeader | None":
        """Read a header; None when it is torn (cut short, or zeros).

        Raises `UserError` for a newer version and `IntegrityError` for anything else that is no header.
        """
        if len(raw) < HEADER_BYTES or not any(raw):
            return None
        magic, version, nonce, first_offset, previous_end = _FIELDS.unpack_from(raw)
        if magic == _MAGIC and version > _VERSION:
            raise UserError(f"{path} was written by a newer Tidemill (format {version}); upgrade to read it")
        (crc,) = _CRC.unpack_from(raw, _FIELDS.size)
        if magic != _MAGIC or version != _VERSION or crc != zlib.crc32(raw[: _FIELDS.size]):
            raise IntegrityError(f"{path} does not begin as a journal segment (byte 0); restore it or move it away")
        if path.name != f"{first_offset:020d}.seg":
            raise IntegrityError(f"{path} holds the segment {first_offset:020d}; give it back its name")
        return cls(nonce, first_offset, previous_end)

"""A transport whose bytes do not arrive, or only by and by: below frames, so that pings and closing are hit, too."""

import asyncio
from typing import Any

_PONG = 0x8A


class Strangled(asyncio.Transport):
    """Stand before a transport; let ``rate`` bytes a second through, of 0 none, but pongs at once with ``pongs``.

    With a rate of 0 what does not come is lost; else it waits. It is closed as the one behind it is.
    """

    def __init__(self, behind: asyncio.Transport, rate: float, pongs: bool) -> None:
        super().__init__()
        self.behind, self.rate, self.pongs = behind, rate, pongs
        self.open = False
        """All comes through again."""
        self._waiting = bytearray()
        self._dripped: float | None = None

    def drip(self, now: float) -> None:
        """Let through what may have come by now; ``now`` is a reading of the monotonic clock, in seconds."""
        if self.rate and not self.open:
            since = now if self._dripped is None else self._dripped
            size = int((now - since) * self.rate)
            if size or self._dripped is None:
                self._dripped = since + size / self.rate
            self._through(size)

    def release(self) -> None:
        """Let what waits through, and all that comes."""
        self._through(len(self._waiting))
        self.open = True

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Take bytes."""
        if self.open:
            self.behind.write(data)
        elif self.rate:
            self._waiting += data
        elif self.pongs and data and data[0] == _PONG:
            self.behind.write(data)

    def get_write_buffer_size(self) -> int:
        """Give how many bytes wait."""
        return len(self._waiting) + self.behind.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what the transport behind knows."""
        return self.behind.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether it is being closed."""
        return self.behind.is_closing()

    def close(self) -> None:
        """Close it; what waits is lost."""
        self.behind.close()

    def abort(self) -> None:
        """Cut it."""
        self.behind.abort()

    def pause_reading(self) -> None:
        """Read no more for a while."""
        self.behind.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self.behind.resume_reading()

    def _through(self, size: int) -> None:
        part = bytes(self._waiting[:size])
        del self._waiting[: len(part)]
        if part and not self.behind.is_closing():
            self.behind.write(part)

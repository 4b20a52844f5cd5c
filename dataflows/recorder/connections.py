"""The open connections of one feed, and the instruments that they carry."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.instruments import Instrument
from exchanges.asked import capacity
from exchanges.attempts import Attempts
from exchanges.carrier import Dial
from exchanges.guard import Watch
from exchanges.link import Link, Sink
from exchanges.venue import Connection, Venue

Method = Literal["SUBSCRIBE", "UNSUBSCRIBE"]


@dataclass(slots=True)
class _Line:
    url: str
    link: Link
    task: asyncio.Task[None]
    aside: bool = False


class Connections:
    """Keep every instrument of a feed subscribed, over as few connections as the venue's limits allow.

    ``failure`` is set to what ended a connection's task that no network can cause. ``dial`` opens connections;
    without it, websockets of our own. ``most`` is how many streams a connection gets, where that is less than the
    venue allows.
    """

    def __init__(
        self,
        venue: Venue,
        channels: Sequence[str],
        sink: Sink,
        attempts: Attempts,
        watch: Watch,
        dial: Dial | None = None,
        most: int | None = None,
    ) -> None:
        self._venue, self._channels, self._sink = venue, channels, sink
        self._capacity = min(capacity(venue), most or capacity(venue))
        self._attempts, self._watch, self._dial = attempts, watch, dial
        self._lines: list[_Line] = []
        self._instruments: dict[str, Instrument] = {}
        self._suspended = False
        self._opened = 0
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def links(self) -> list[Link]:
        """Give the connections, open or being opened."""
        return [line.link for line in self._lines]

    async def add(self, instruments: Iterable[Instrument]) -> None:
        """Subscribe instruments, on open connections where there is room."""
        fresh = {one.name: one for one in instruments if one.name not in self._instruments}
        self._instruments |= fresh
        if self._suspended or not fresh:
            return
        for connection in self._wanted(fresh.values()):
            await self._carry(connection)

    async def again(self, instrument: Instrument, channels: Sequence[str]) -> None:
        """Ask again for channels of a subscribed instrument that the venue refused.

        On connections beside the others: whatever the venue answers, trades go on as they are.
        """
        if self._suspended or instrument.name not in self._instruments:
            return
        carried = {stream for line in self._lines for stream in line.link.streams}
        for connection in self._venue.subscriptions([instrument], channels):
            streams = tuple(stream for stream in connection.streams if stream not in carried)
            if not streams:
                continue
            line = self._with_room(connection.url, len(streams), aside=True)
            if line is not None:
                await line.link.change("SUBSCRIBE", streams)
            else:
                self._open(
                    Connection(connection.url, self._venue.requests("SUBSCRIBE", streams), streams), aside=True
                )

    async def remove(self, instrument: Instrument) -> None:
        """Unsubscribe an instrument; a connection that is left without streams is closed."""
        if self._instruments.pop(instrument.name, None) is None:
            return
        streams = {self._venue.stream(instrument, channel) for channel in self._channels}
        for line in list(self._lines):
            carried = set(line.link.streams)
            if carried <= streams:
                self._lines.remove(line)
                await _end(line)
            elif gone := carried & streams:
                await line.link.change("UNSUBSCRIBE", tuple(sorted(gone)))

    async def suspend(self) -> None:
        """Close every connection and open none until `resume`."""
        self._suspended = True
        lines, self._lines = self._lines, []
        await asyncio.gather(*(_end(line) for line in lines))

    async def resume(self) -> None:
        """Connect again."""
        self._suspended = False
        if self._instruments:
            for connection in self._wanted(self._instruments.values()):
                self._open(connection)

    def _wanted(self, instruments: Iterable[Instrument]) -> list[Connection]:
        """Give the connections that the venue wants, none with more streams than one holds.

        Where every message replaces those before it, that is what one message holds.
        """
        size = self._capacity
        parts = [
            (one.url, one.streams[at : at + size])
            for one in self._venue.subscriptions(list(instruments), self._channels)
            for at in range(0, len(one.streams), size)
        ]
        return [Connection(url, self._venue.requests("SUBSCRIBE", streams), streams) for url, streams in parts]

    async def _carry(self, connection: Connection) -> None:
        streams = connection.streams
        line = self._with_room(connection.url, len(streams), aside=False)
        if line is None:
            self._open(connection)
            return
        # What was heard of them before they were taken out does not join what comes now.
        self._sink.interrupted(line.link.name, "not_recorded", streams)
        await line.link.change("SUBSCRIBE", streams)

    def _with_room(self, url: str, streams: int, aside: bool) -> _Line | None:
        for line in self._lines:
            room = self._capacity - len(line.link.streams)
            if line.url == url and line.aside == aside and room >= streams:
                return line
        return None

    def _open(self, connection: Connection, aside: bool = False) -> None:
        self._opened += 1
        name = f"{self._venue.name}-{self._opened}"
        link = Link(self._venue, connection, self._sink, self._attempts, self._watch, name=name, dial=self._dial)
        task = asyncio.create_task(link.run())
        task.add_done_callback(self._ended)
        self._lines.append(_Line(connection.url, link, task, aside))

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.failure.done():
            self.failure.set_exception(error)


async def _end(line: _Line) -> None:
    line.task.cancel()
    await asyncio.gather(line.task, return_exceptions=True)

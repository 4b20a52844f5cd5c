"""One client's websocket in any dialect: its topics, and the one way out for its frames."""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable

from simulator.binance.protocol import BatchingProtocol
from simulator.dialect import Connection, Dialect, Frames, Reaction
from simulator.framing import Frame, encoded
from simulator.interference import Interference, Told
from simulator.topic import Topic


class Session:
    """Hold one websocket; ``changed`` is called with the topics that came when its topics have changed.

    All that goes out passes ``interference``. ``unread`` bytes may wait for a client that does not read.
    """

    def __init__(
        self,
        dialect: Dialect,
        protocol: BatchingProtocol,
        path: str,
        changed: Callable[["Session", list[Topic]], None],
        interference: Interference,
        unread: int,
    ) -> None:
        self.dialect, self.protocol = dialect, protocol
        now = time.monotonic()
        self.connection = Connection(str(uuid.uuid4()), path, now, now, now)
        self.cut = False
        """The client did not read, and was cut off."""
        self._changed, self._interference, self._unread = changed, interference, unread
        self._recent: deque[float] = deque()

    @property
    def id(self) -> str:
        """Tell the connection from others."""
        return self.connection.id

    @property
    def path(self) -> str:
        """Give the address at which it was opened."""
        return self.connection.path

    @property
    def instruments(self) -> set[str]:
        """Give the instruments of the tape of which it is told something, by name."""
        return {topic.market.source.instrument.name for topic in self.connection.topics.values()}

    @property
    def speaks(self) -> str:
        """Name the dialect."""
        return self.dialect.name

    def send(self, frames: Frames) -> None:
        """Send frames, or what interference makes of them."""
        if frames and (frames := self._interference.frames(self, frames)):
            self.write(frames)

    def tell(self, told: Iterable[Told]) -> None:
        """Send what is told on topics, or what interference makes of it."""
        self.send([frame for one in told for frame in self._interference.told(self, one)])

    def write(self, frames: Frames) -> None:
        """Write frames to the client as they are; cut it off where it does not read."""
        self.connection.sent = time.monotonic()
        self.cut = self.cut or not self.protocol.write_frames(encoded(frames), self._unread)

    def open(self) -> None:
        """Begin."""
        self._react(self.dialect.opened(self.connection))

    def count(self) -> None:
        """Count a message of the client, of any kind; end the connection where there are too many."""
        manners, now, recent = self.dialect.manners, time.monotonic(), self._recent
        self.connection.heard = now
        recent.append(now)
        while recent[0] <= now - manners.messages_per:
            recent.popleft()
        if len(recent) > manners.messages:
            self.protocol.end(*manners.too_many)

    def receive(self, message: Frame) -> None:
        """Answer one message of the client."""
        self.count()
        if self.protocol.is_open:
            with self._interference.hearing(self):
                reaction = self.dialect.heard(self.connection, message)
            self._react(reaction)

    def tick(self, now: float) -> None:
        """Let time pass; ``now`` is a reading of the monotonic clock."""
        if self.protocol.is_open:
            self._react(self.dialect.timer(self.connection, now))

    def announce(self) -> None:
        """Say that the connection will be closed."""
        self.send(self.dialect.notice(self.connection))

    def expire(self) -> None:
        """Close the connection because it is old."""
        self.protocol.end(*self.dialect.manners.expired)

    def _react(self, reaction: Reaction) -> None:
        self.send(reaction.frames)
        topics = self.connection.topics
        gone = list(topics) if reaction.replaces else [key for key in reaction.removed if key in topics]
        before = {key: topics.pop(key) for key in gone}
        # Who subscribes again to what it has is sent a snapshot again; where all is replaced, what stays goes on.
        fresh = [one for one in reaction.added if before.get(one.key) != one]
        topics.update((one.key, one) for one in reaction.added)
        if before or reaction.added:
            self._changed(self, fresh)
        if reaction.close is not None:
            self.protocol.end(*reaction.close)

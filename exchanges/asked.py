"""What a connection was asked, and what of it the venue has answered; without I/O and without a clock."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from exchanges.messages import Ack, ErrorReply
from exchanges.venue import Venue

Method: TypeAlias = Literal["SUBSCRIBE", "UNSUBSCRIBE"]


@dataclass(frozen=True, slots=True)
class Wish:
    """Hold the streams that one message takes in or out."""

    method: Method
    streams: tuple[str, ...]


class Verdict(NamedTuple):
    """Say what an answer comes to: these streams are ``refused``, those are to be asked for ``again``, in parts.

    ``words`` are the venue's. Streams that were accepted, and those that were to go, are in neither.
    """

    refused: tuple[str, ...]
    again: tuple[str, ...]
    words: str


_NOTHING = Verdict((), (), "")
_NOT_LISTED = "not among those that the venue took in"


@dataclass(slots=True)
class _Question:
    wish: Wish
    pending: dict[str, None]
    heard: float | None = None

    def verdict(self, refused: Sequence[str], again: Sequence[str], words: str) -> Verdict:
        if self.wish.method == "UNSUBSCRIBE":
            return _NOTHING
        return Verdict(tuple(refused), tuple(again), words)


class Asked:
    """Match answers with the messages that were sent, in order; answers may name streams or not.

    An answer without streams is of the oldest message. One that names streams is of the oldest message that waits
    for one of them: one stream of several (OKX, an answer each; the others are still to be answered), or the list
    of all that were accepted (Deribit). Numbers of messages are not looked at: venues repeat them, or not.

    A refusal that does not say what it refuses counts for a message of one stream; the streams of a longer one
    are to be asked for again in parts, so that one that is gone does not take the others down.
    """

    def __init__(self) -> None:
        self._questions: deque[_Question] = deque()

    def __bool__(self) -> bool:
        return bool(self._questions)

    def sent(self, wish: Wish) -> None:
        """Note that a message was sent."""
        self._questions.append(_Question(wish, dict.fromkeys(wish.streams)))

    def forget(self) -> None:
        """Wait for no answer any more."""
        self._questions.clear()

    def answered(self, message: Ack | ErrorReply, now: float) -> Verdict | None:
        """Take an answer; None where it is of nothing that was asked. ``now`` is seconds of any clock."""
        question = self._of(message.streams)
        if isinstance(message, Ack):
            return None if question is None else self._accepted(question, message.streams, now)
        words = f"{message.code}: {' '.join(message.message[:160].split())}"
        if message.streams:
            if question is None:
                # Taken in once, and gone now.
                return Verdict(message.streams, (), words)
            return self._part_refused(question, message.streams, words, now)
        if question is None or not question.wish.streams:
            return None
        self._questions.remove(question)
        pending = tuple(question.pending)
        if len(question.wish.streams) == 1:
            return question.verdict(pending, (), words)
        return question.verdict((), pending, words)

    def overdue(self, since: float) -> list[Verdict]:
        """Give up messages whose last answer came before ``since`` and left streams out; they are asked for again."""
        late = [one for one in self._questions if one.heard is not None and one.heard < since]
        for question in late:
            self._questions.remove(question)
        return [question.verdict((), tuple(question.pending), "") for question in late]

    def _of(self, streams: tuple[str, ...] | None) -> _Question | None:
        if not streams:
            return self._questions[0] if self._questions else None
        named = set(streams)
        return next((one for one in self._questions if not named.isdisjoint(one.pending)), None)

    def _accepted(self, question: _Question, streams: tuple[str, ...] | None, now: float) -> Verdict:
        left = [] if streams is None else [one for one in question.pending if one not in streams]
        if left and streams is not None and len(streams) == 1:
            question.pending, question.heard = dict.fromkeys(left), now
            return _NOTHING
        self._questions.remove(question)
        return question.verdict(left, (), _NOT_LISTED)

    def _part_refused(self, question: _Question, streams: tuple[str, ...], words: str, now: float) -> Verdict:
        left = [one for one in question.pending if one not in streams]
        if left:
            question.pending, question.heard = dict.fromkeys(left), now
        else:
            self._questions.remove(question)
        return question.verdict(streams, (), words)


def capacity(venue: Venue) -> int:
    """Give how many streams a connection holds; where messages replace each other, all of them fit into one."""
    limits = venue.limits
    return min(limits.streams, limits.streams_per_message) if venue.subscribing.replaces else limits.streams


def wishes(venue: Venue, method: Method, streams: Sequence[str]) -> list[Wish]:
    """Give what to ask for, as many streams a message as the venue's limits and `Venue.requests` put into one."""
    if venue.subscribing.replaces:
        return [Wish(method, tuple(streams))] if streams else []
    step = venue.limits.streams_per_message
    found, chunks = [], [tuple(streams[at : at + step]) for at in range(0, len(streams), step)]
    while chunks:
        chunk = chunks.pop(0)
        if len(chunk) > 1 and len(venue.requests(method, chunk)) > 1:
            # Within the number, and yet too long for one message: only by itself is it known what is answered.
            chunks[:0] = halves(chunk)
        else:
            found.append(Wish(method, chunk))
    return found


def halves(streams: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Give both halves of two streams or more."""
    middle = (len(streams) + 1) // 2
    return [streams[:middle], streams[middle:]]

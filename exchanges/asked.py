"""What a connection was asked, and what of it the venue has answered; without I/O and without a clock."""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
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


_NOT_LISTED = "not among those that the venue took in"


@dataclass(slots=True)
class _Question:
    wish: Wish
    pending: dict[str, None]
    heard: float | None = None
    in_parts: bool = False
    errors: int = 0
    words: str = ""

    def verdict(self, refused: Iterable[str] = (), again: Iterable[str] = (), words: str = "") -> Verdict:
        if self.wish.method == "UNSUBSCRIBE":
            return Verdict((), (), "")
        return Verdict(tuple(refused), tuple(again), words or self.words)

    def answered(self, streams: Collection[str], now: float) -> None:
        self.pending = {one: None for one in self.pending if one not in streams}
        self.heard, self.in_parts = now, True


class Asked:
    """Match answers with the messages that were sent, in order; answers may name streams or not.

    An answer that names streams is of the oldest message that waits for one of them: one stream of several (OKX, an
    answer each; the others are still to come), or the list of all that were accepted (Deribit). An answer without
    streams is of the oldest message, and so is a refusal of streams by names that were never asked for. Numbers of
    messages are not looked at: venues repeat them, or not.

    A refusal that does not say what it refuses counts for a message of one stream; the streams of a longer one are
    to be asked for again in parts, so that one that is gone does not take the others down. Where the venue answers
    that message stream by stream, those are refused for which no answer is left. ``whole`` says that a message has
    one answer; else the first such answer shows it, and a refusal before that waits for what comes next.

    A refusal that passes decides nothing about streams: to ask for them in parts is what the venue cannot bear now.
    """

    def __init__(self, whole: bool = False) -> None:
        self._questions: deque[_Question] = deque()
        self._named: set[str] = set()
        self._whole = whole

    def __bool__(self) -> bool:
        return bool(self._questions)

    def sent(self, wish: Wish) -> None:
        """Note that a message was sent."""
        self._questions.append(_Question(wish, dict.fromkeys(wish.streams)))
        self._named.update(wish.streams)

    def forget(self) -> None:
        """Wait for no answer any more."""
        self._questions.clear()

    def answered(self, message: Ack | ErrorReply, now: float) -> list[Verdict] | None:
        """Take an answer; None where it is of nothing that was asked, or passes: then it is about the connection.

        ``now`` is seconds of any clock.
        """
        if isinstance(message, Ack):
            if message.streams is None or len(message.streams) != 1:
                return self._whole_accepted(message.streams)
            return self._one_accepted(message.streams, now)
        if message.passing:
            return None
        words = f"{message.code}: {' '.join(message.message[:160].split())}"
        if message.streams is None:
            return self._something_refused(words, now)
        if not message.streams:
            return None
        question = self._waiting_for(message.streams)
        if question is None and self._questions and self._named.isdisjoint(message.streams):
            # The venue writes the name of what it refuses in another way.
            return self._something_refused(words, now)
        if question is None:
            # Taken in once, and gone now.
            return [Verdict(message.streams, (), words)]
        question.answered(message.streams, now)
        return [question.verdict(message.streams, (), words), *self._finished(question)]

    def overdue(self, since: float) -> list[Verdict]:
        """Give up messages whose last answer came before ``since`` and left streams out; they are asked for again."""
        late = [one for one in self._questions if one.heard is not None and one.heard < since]
        # Of several refusals each may have been of a message.
        more = sum(one.errors - 1 for one in late if one.errors and not one.in_parts)
        late += [one for one in self._questions if one.heard is None][:more]
        for question in late:
            self._questions.remove(question)
        return [question.verdict((), question.pending) for question in late]

    def _whole_accepted(self, streams: tuple[str, ...] | None) -> list[Verdict] | None:
        verdicts = [] if self._whole else self._one_answer_each()
        question = self._waiting_for(streams) if streams else self._first()
        if question is None:
            return verdicts or None
        self._questions.remove(question)
        left = () if streams is None else [one for one in question.pending if one not in streams]
        return [*verdicts, question.verdict(left, (), _NOT_LISTED)]

    def _one_accepted(self, streams: tuple[str, ...], now: float) -> list[Verdict] | None:
        question = self._waiting_for(streams)
        if question is None:
            return None
        question.answered(streams, now)
        return self._finished(question)

    def _something_refused(self, words: str, now: float) -> list[Verdict] | None:
        question = next((one for one in self._questions if self._whole or one.errors < len(one.pending)), None)
        if question is None or not question.wish.streams:
            return [] if self._questions and self._questions[0].errors else None
        question.heard, question.words, question.errors = now, words, question.errors + 1
        if self._whole or len(question.wish.streams) == 1:
            return [self._refused_whole(question)]
        return self._finished(question)

    def _finished(self, question: _Question) -> list[Verdict]:
        """Conclude a message that has its last answer: one of each stream, or one at all."""
        counted = question.in_parts and question.errors >= len(question.pending)
        if question.pending and not counted and not self._whole:
            return []
        self._questions.remove(question)
        return [question.verdict(question.pending) if counted else question.verdict((), question.pending)]

    def _one_answer_each(self) -> list[Verdict]:
        """Learn that a message has one answer: what was answered in part is over, each refusal was of a message."""
        self._whole = True
        verdicts = [self._finished(one) for one in list(self._questions) if one.in_parts]
        refused = list(self._questions)[: sum(one.errors for one in self._questions)]
        return [*(found for one in verdicts for found in one), *map(self._refused_whole, refused)]

    def _refused_whole(self, question: _Question) -> Verdict:
        self._questions.remove(question)
        if len(question.wish.streams) == 1:
            return question.verdict(question.pending)
        return question.verdict((), question.pending)

    def _waiting_for(self, streams: tuple[str, ...]) -> _Question | None:
        named = set(streams)
        return next((one for one in self._questions if not named.isdisjoint(one.pending)), None)

    def _first(self) -> _Question | None:
        return self._questions[0] if self._questions else None


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

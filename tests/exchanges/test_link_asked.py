"""Whatever way a venue answers, exactly what it does not have is refused."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.asked import Asked, Wish, capacity, halves, wishes
from exchanges.messages import Ack, ErrorReply
from exchanges.registry import venue
from exchanges.venue import Subscribing

STREAMS = tuple("abcdefghij")
WORDS = "no such stream"


def misnamed(streams) -> tuple[str, ...]:
    return tuple(one.upper() for one in streams)


def answers(style: str, wish: Wish, bad: set[str]) -> list[Ack | ErrorReply]:
    wrong = tuple(one for one in wish.streams if one in bad) if wish.method == "SUBSCRIBE" else ()
    good = tuple(one for one in wish.streams if one not in wrong)
    match style:
        case "list":
            return [Ack(1, good)]
        case "whole" | "whole_named" | "whole_misnamed":
            named = {"whole": None, "whole_named": wrong, "whole_misnamed": misnamed(wrong)}[style]
            return [ErrorReply(1, WORDS, None, named) if wrong else Ack(1)]
    unnamed = style == "each_unnamed"
    if style == "each_misnamed":
        return [
            Ack(1, (one,)) if one in good else ErrorReply(1, WORDS, None, misnamed([one])) for one in wish.streams
        ]
    return [
        Ack(1, (one,)) if one in good else ErrorReply(1, WORDS, None, None if unnamed else (one,))
        for one in wish.streams
    ]


@settings(max_examples=300)
@given(
    st.sampled_from(["whole", "whole_named", "whole_misnamed", "list", "each", "each_unnamed", "each_misnamed"]),
    st.sets(st.sampled_from(STREAMS)),
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
    st.lists(st.booleans(), max_size=80),
)
def test_all_that_is_bad_is_refused_and_nothing_else(style, bad, sizes, turns) -> None:
    asked, line, waiting, told = Asked(), deque(), deque(), list(reversed(turns))
    refused, accepted, at, now = set(), set(), 0, 0.0
    for size in sizes:
        if STREAMS[at : at + size]:
            waiting.append(Wish("SUBSCRIBE", STREAMS[at : at + size]))
        at += size
    while waiting or line or asked:
        now += 1.0
        assert now < 500, "comes to an end"
        if waiting and (not line or (told.pop() if told else True)):
            wish = waiting.popleft()
            asked.sent(wish)
            line.extend(answers(style, wish, bad))
            accepted |= (
                set(wish.streams) - bad if not style.startswith("whole") or not set(wish.streams) & bad else set()
            )
            continue
        verdicts = asked.answered(line.popleft(), now) if line else asked.overdue(now + 1)
        assert verdicts is not None, "every answer is of something that was asked"
        for verdict in verdicts:
            refused |= set(verdict.refused)
            parts = halves(verdict.again) if len(verdict.again) > 1 else [verdict.again] if verdict.again else []
            waiting.extend(Wish("SUBSCRIBE", part) for part in parts)
    there = set(STREAMS[: sum(sizes)])
    assert (refused, accepted) == (bad & there, there - bad)


def test_answers_to_nothing_are_told_apart() -> None:
    asked = Asked()
    assert asked.answered(Ack(1), 0) is None
    assert asked.answered(Ack(1, ("a",)), 0) is None
    assert asked.answered(ErrorReply(1, WORDS), 0) is None
    assert asked.answered(ErrorReply(1, WORDS, None, ()), 0) is None, "of a message before the first"
    (gone,) = asked.answered(ErrorReply(1, "gone\nnow", None, ("a",)), 0)
    assert gone == (("a",), (), "1: gone now")
    asked.sent(Wish("SUBSCRIBE", ()))
    assert asked.answered(ErrorReply(1, WORDS), 0) is None, "all that is left is refused"


@pytest.mark.parametrize("refusal", [ErrorReply(1, WORDS), ErrorReply(1, WORDS, None, ("a", "b")), Ack(1, ())])
def test_what_is_to_go_is_never_refused(refusal) -> None:
    asked = Asked(whole=True)
    asked.sent(Wish("UNSUBSCRIBE", ("a", "b")))
    asked.sent(Wish("SUBSCRIBE", ("a",)))
    verdicts = asked.answered(refusal, 0)
    assert not any(verdict.refused or verdict.again for verdict in verdicts)
    assert asked.answered(Ack(1, ()), 0)[0].refused == ("a",)
    assert not asked


def test_a_message_that_never_was_answered_at_all_is_left_to_the_watch_for_silence() -> None:
    asked = Asked()
    asked.sent(Wish("SUBSCRIBE", ("a", "b")))
    assert asked.overdue(1e9) == []
    assert asked


def test_a_refusal_by_a_name_that_was_asked_for_is_of_no_other_stream() -> None:
    asked = Asked()
    asked.sent(Wish("SUBSCRIBE", ("a",)))
    assert [verdict.refused for verdict in asked.answered(Ack(1, ("a",)), 0)] == [()]
    asked.sent(Wish("UNSUBSCRIBE", ("a",)))
    assert [verdict.refused for verdict in asked.answered(Ack(1, ("a",)), 0)] == [()]
    asked.sent(Wish("SUBSCRIBE", ("b",)))
    assert asked.answered(ErrorReply(1, WORDS, None, ("a",)), 0) == [(("a",), (), f"1: {WORDS}")]
    assert asked.answered(ErrorReply(1, WORDS, None, ("B",)), 0) == [(("b",), (), f"1: {WORDS}")]
    assert not asked


@given(st.integers(1, 30), st.integers(1, 10), st.integers(2, 40), st.booleans())
def test_messages_hold_what_limits_and_venue_let_them(count, step, longest, replaces) -> None:
    declared = venue("binance")

    class Wordy(type(declared)):
        def requests(self, method, streams):
            texts = super().requests(method, streams)
            return texts if sum(map(len, streams)) <= longest else texts * 2

    limits = {name: getattr(declared.limits, name) for name in declared.limits.__slots__}
    limits |= {"streams": 25, "streams_per_message": step}
    values = {name: getattr(declared, name) for name in declared.__dataclass_fields__}
    values |= {"limits": type(declared.limits)(**limits), "subscribing": Subscribing(replaces=replaces)}
    market, streams = Wordy(**values), tuple(f"s{at}" for at in range(count))
    found = wishes(market, "SUBSCRIBE", streams)
    assert tuple(stream for wish in found for stream in wish.streams) == streams
    if replaces:
        assert len(found) == 1
        assert capacity(market) == min(25, step)
    else:
        assert all(len(wish.streams) <= step for wish in found)
        assert all(len(wish.streams) == 1 or len(market.requests("SUBSCRIBE", wish.streams)) == 1 for wish in found)
        assert capacity(market) == 25

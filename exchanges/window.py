"""What was taken in a window of time, as a small value that can be stored."""

import msgspec

_SLOTS = 64
"""What is taken within a 64th of the window counts as taken at the end of it: never too early, and few numbers."""


class Window(msgspec.Struct, frozen=True):
    """Hold amounts and the moments (µs of a clock that never goes back) up to which they were taken, ascending.

    ``span`` is the longest window (µs) that anyone looked at: so long they are kept.
    """

    parts: tuple[tuple[int, int], ...] = ()
    span: int = 0


def wait(window: Window, amount: int, most: int, span: int, now: int) -> int:
    """Give in how many µs ``amount`` may be taken if no ``span`` may hold more than ``most``; 0 is at once.

    More than ``most`` counts as ``most``.
    """
    inside = [(at, part) for at, part in window.parts if at + span > now]
    excess = sum(part for _, part in inside) + min(amount, most) - most
    due = now
    for at, part in inside:
        if excess <= 0:
            break
        excess -= part
        due = at + span
    return due - now


def take(window: Window, amount: int, most: int, span: int, now: int) -> Window:
    """Give the window after ``amount`` was taken at ``now``, whether it was to be had or not."""
    slot = max(1, span // _SLOTS)
    longest = max(span, window.span)
    end = -(-now // slot) * slot
    kept = [(at, part) for at, part in window.parts if at + longest > now]
    if kept and kept[-1][0] >= end:
        kept[-1] = kept[-1][0], kept[-1][1] + min(amount, most)
    else:
        kept.append((end, min(amount, most)))
    return Window(tuple(kept), longest)

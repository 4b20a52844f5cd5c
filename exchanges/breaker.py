"""The circuit breaker of one host: a value and its transitions, without a clock. Times are µs that never go back."""

import msgspec

from exchanges.retry_after import LONGEST

FAILURES = 5
"""So many failures in a row open it."""

TRIP = 5_000_000
LONGEST_TRIP = 30_000_000
"""It stays open for so long after failures, doubled by each trial that fails, up to the second: a host that is back
must be noticed within the time in which holes are to be filled."""

TRIAL = 20_000_000
"""A trial has so long to come back, longer than any request may take; its process may have been killed."""

BANS = {429: 60_000_000, 418: 120_000_000, 403: 600_000_000}
"""How long a ban is where the venue does not say, doubled while it is repeated.

Source: Binance bans with 418 for two minutes at least, Bybit with 403 for ten; Upbit's 418 grows.
"""

LONGEST_BANS = {429: 600_000_000, 418: int(LONGEST * 1_000_000), 403: 86_400_000_000}
_OTHER = 60_000_000
_FORGOTTEN = 3_600_000_000
"""A ban so long after the last one is a first one."""


class Breaker(msgspec.Struct, frozen=True):
    """Hold what is known of a host's will to answer.

    ``until`` is when the next trial may be made, None while all may be sent (the breaker is closed); ``trial`` that
    one is being made. ``status`` is the HTTP status of a ban, 0 for failures. ``failures`` are those in a row,
    ``trips`` the failed trials in a row, ``bans`` those without a quiet hour in between, ``banned`` the
    end of the last.
    """

    until: int | None = None
    trial: bool = False
    status: int = 0
    why: str = ""
    failures: int = 0
    trips: int = 0
    bans: int = 0
    banned: int = 0

    @property
    def untroubled(self) -> bool:
        """Tell whether a success would change nothing."""
        return self.until is None and not self.failures


def held(breaker: Breaker, now: int) -> int:
    """Give for how many µs nothing may be sent; 0 where something may."""
    return 0 if breaker.until is None else max(0, breaker.until - now)


def tried(breaker: Breaker, now: int) -> Breaker:
    """Give it after one was let through; nobody else is, until that one has come back or its time is over."""
    if breaker.until is None:
        return breaker
    return msgspec.structs.replace(breaker, until=now + TRIAL, trial=True)


def succeeded(breaker: Breaker, trial: bool) -> Breaker:
    """Give it after an answer; what was sent before it opened does not close it."""
    if breaker.until is not None and not trial:
        return breaker
    return Breaker(bans=breaker.bans, banned=breaker.banned)


def failed(breaker: Breaker, now: int, why: str, trial: bool) -> Breaker:
    """Give it after a request that came to nothing: no network, no answer in time, 5xx, no JSON."""
    if breaker.until is not None and not trial:
        return breaker
    count = breaker.failures + 1
    if not trial and count < FAILURES:
        return msgspec.structs.replace(breaker, failures=count, why=why)
    pause = min(TRIP << min(breaker.trips, 20), LONGEST_TRIP)
    return Breaker(now + pause, False, breaker.status, why, count, breaker.trips + 1, breaker.bans, breaker.banned)


def banned(breaker: Breaker, now: int, status: int, said: int | None, why: str, trial: bool) -> Breaker:
    """Give it after the venue has said that it wants nothing, for ``said`` µs or for as long as `BANS` tells."""
    again = trial or breaker.until is None
    bans = breaker.bans if now < breaker.banned + _FORGOTTEN else 0
    # Several requests on their way at once are answered by one ban.
    bans = bans + 1 if again or not bans else bans
    longest = LONGEST_BANS.get(status, LONGEST_BANS[429])
    pause = min(BANS.get(status, _OTHER) << min(bans - 1, 20), longest) if said is None else said
    until = now + pause if again else max(breaker.until or 0, now + pause)
    return Breaker(until, False, status, why, breaker.failures + 1, breaker.trips, bans, until)

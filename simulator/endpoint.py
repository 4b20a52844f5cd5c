"""Endpoints: the REST requests of a dialect, what they cost, and how one is read and refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.exchange import SimulatedExchange


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of ours
    """Refuse a REST request with a status and a body, in the venue's own words."""

    def __init__(self, body: Any, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.body, self.status, self.headers = body, status, dict(headers or {})


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold one request: its parameters, and ``now``, the tape's time (µs) at which it is answered."""

    exchange: SimulatedExchange
    params: Mapping[str, str]
    path: Mapping[str, str]
    now: int

    @property
    def venue_now(self) -> int:
        """Give the market's time as clients know it (µs since the epoch, UTC): no trade of it is later."""
        return self.exchange.clock.venue(self.now)

    @property
    def told_now(self) -> int:
        """Give the time that the venue says it is: its own clock may go wrong."""
        return self.venue_now + self.exchange.skew

    def number(self, name: str) -> int | None:
        """Give a whole number that is not negative; None where there is none or it is none."""
        text = self.params.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None

    def limit(self, default: int, most: int, name: str = "limit") -> int:
        """Give how many rows: cut off at ``most``; the default where nothing fit was asked for."""
        return max(1, min(self.number(name) or default, most))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Describe one GET: its path, how it is answered, and how often an address may ask.

    ``answer`` gives what is sent as JSON (bytes as they are), or raises `Refusal`. ``requests`` in ``per`` seconds
    are borne of each address, counted together for all endpoints of one ``group`` (by default each has its own).
    """

    path: str
    answer: Callable[[Asked], Any]
    requests: int
    per: float
    group: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

"""What an address may ask for: REST weights a minute, and attempts to connect.

Source: binance/binance-spot-api-docs rest-api.md, "IP Limits": 429 above the limit, 418 for who goes on.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.binance.refusal import Refusal
from simulator.exchange import Rules


@dataclass(slots=True)
class _Account:
    minute: int = -1
    used: int = 0
    told: int = 0
    banned_until: float = 0.0
    attempts: deque[float] = field(default_factory=deque)


class Weights:
    """Count by address what one of the two markets was asked for; ``now`` gives seconds since the epoch."""

    def __init__(self, rules: Rules, futures: bool, now: Callable[[], float] = time.time) -> None:
        self._rules, self._limit, self._now = rules, rules.of(futures).weight, now
        self._accounts: dict[str, _Account] = {}

    def take(self, address: str, weight: int) -> int:
        """Count a request and give what the address has used this minute; raise `Refusal` above the limit."""
        account, now = self._accounts.setdefault(address, _Account()), self._now()
        if now < account.banned_until:
            raise self._banned(account.banned_until, now)
        if account.minute != int(now // 60):
            account.minute, account.used, account.told = int(now // 60), 0, 0
        account.used += weight
        if account.used <= self._limit:
            return account.used
        account.told += 1
        if account.told > self._rules.ban_after:
            account.banned_until = now + self._rules.ban
            raise self._banned(account.banned_until, now)
        words = f"Too many requests; current limit of IP({address}) is {self._limit} requests per minute."
        raise Refusal(-1003, words, 429, {"Retry-After": str(int(60 - now % 60) + 1)} | used(account.used))

    def connects(self, address: str) -> bool:
        """Count an attempt to connect; False where there were too many."""
        account, now = self._accounts.setdefault(address, _Account()), self._now()
        attempts = account.attempts
        while attempts and attempts[0] <= now - self._rules.attempts_per:
            attempts.popleft()
        if len(attempts) >= self._rules.attempts:
            return False
        attempts.append(now)
        return True

    def _banned(self, until: float, now: float) -> Refusal:
        words = f"Way too many requests; IP banned until {int(until * 1000)}."
        return Refusal(-1003, words, 418, {"Retry-After": str(int(until - now) + 1)})


def used(weight: int) -> dict[str, str]:
    """Give the headers that tell what was used."""
    return {"X-MBX-USED-WEIGHT": str(weight), "X-MBX-USED-WEIGHT-1M": str(weight)}

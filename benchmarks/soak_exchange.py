"""The exchange of the soak: `python -m benchmarks.soak_exchange INSTRUMENTS RATE`.

Prints its port; then one line of JSON, what it has counted, for every line that comes in.
"""

import json
import logging
import socket
import sys
import threading
import time
from collections import deque

from benchmarks.soak_market import START, RepeatedMarket
from core.timeframes import HOUR, MINUTE
from simulator.clock import MarketClock
from simulator.exchange import Figures, Rules, SimulatedExchange
from simulator.server import serve

PACE = 0.02
"""Seconds between two looks at the tape: what happens meanwhile leaves together."""

_PAST = HOUR


class AttemptLog:
    """Count attempts to connect, as the venue does: those of the last so many seconds."""

    def __init__(self, figures: Figures, seconds: float) -> None:
        self._figures, self._seconds = figures, seconds
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self.most = 0

    def watch(self) -> None:
        """Look ten times a second, for ever."""
        while True:
            now, count = time.monotonic(), self._figures.connected
            while len(self._seen) > 1 and self._seen[1][0] <= now - self._seconds:
                self._seen.popleft()
            self.most = max(self.most, count - self._seen[0][1])
            if count > self._seen[-1][1]:
                self._seen.append((now, count))
            time.sleep(0.1)

    @property
    def present(self) -> int:
        """Give how many there were in the last so many seconds."""
        return self._figures.connected - self._seen[0][1]


def main(count: int, rate: float) -> None:
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    now = time.time_ns() // 1_000
    begin = START + _PAST
    # Whole minutes, as every client is shown; the seconds are those of the wall.
    shift = (now - begin) // MINUTE * MINUTE
    rules = Rules(pace=PACE)
    exchange = SimulatedExchange(RepeatedMarket(count, rate), MarketClock(1.0, now - shift, shift), rules)
    attempts = AttemptLog(exchange.figures, rules.attempts_per)
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def answer() -> None:
        print(listening.getsockname()[1], shift, flush=True)
        threading.Thread(target=attempts.watch, daemon=True).start()
        threading.Thread(target=tell, daemon=True).start()

    def tell() -> None:
        figures = exchange.figures
        for _ in sys.stdin:
            told = {
                "open": figures.open,
                "connected": figures.connected,
                "refused": figures.refused,
                "cut": figures.cut,
                "requests": figures.requests,
                "sent": figures.sent.total(),
                "attempts_now": attempts.present,
                "attempts_most": attempts.most,
            }
            print(json.dumps(told), flush=True)

    serve(exchange, [listening], answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))

"""The exchange under fire: `python exchange.py RATE SPEED SEED`; it prints its port and serves until stopped.

Its market is fixed: the test draws the same one to know what was sent.
"""

import socket
import sys

from core.timeframes import HOUR, MINUTE
from simulator.clock import MarketClock
from simulator.exchange import Rules, SimulatedExchange
from simulator.listing import LISTINGS
from simulator.market import START
from simulator.server import serve
from simulator.tapes.invented import InventedTape

NOW = START + 2 * HOUR
"""The market's time when its tape is opened: it has a past of two hours."""


def tape(rate: float, seed: int) -> InventedTape:
    return InventedTape.open(seed, LISTINGS, None, now=NOW, history_hours=2, rate=rate)


def main(rate: float, speed: float, seed: int) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    # Whoever is killed twice a second comes back more often than an exchange would bear.
    rules = Rules(attempts=100_000, ban_after=1_000_000)
    exchange = SimulatedExchange(tape(rate, seed), MarketClock(speed, NOW + 30 * MINUTE, 0), rules)
    serve(exchange, [listening], lambda: print(listening.getsockname()[1], flush=True))


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))

"""An exchange in every dialect: `python venues_exchange.py RATE SPEED SEED`; it prints its port, and serves.

Its market is fixed: the test draws the same one to know what was sent.
"""

import socket
import sys

from core.timeframes import HOUR, MINUTE
from simulator.clock import MarketClock
from simulator.exchange import Rules, SimulatedExchange
from simulator.listing import LISTINGS, MORE
from simulator.market import START
from simulator.server import serve
from simulator.tapes.invented import InventedTape

PERPETUALS = tuple(one for one in MORE if one.instrument.expiry)
NOW = START + 2 * HOUR
"""The market's time when its tape is opened: it has a past of two hours."""


def tape(rate: float, seed: int) -> InventedTape:
    """Draw the market."""
    return InventedTape.open(seed, LISTINGS + PERPETUALS, None, now=NOW, history_hours=2, rate=rate)


def exchange(rate: float, speed: float, seed: int) -> SimulatedExchange:
    """Open the exchange half an hour later."""
    # Whoever is cut off again and again comes back more often than Binance would bear.
    rules = Rules(attempts=100_000, ban_after=1_000_000)
    return SimulatedExchange(tape(rate, seed), MarketClock(speed, NOW + 30 * MINUTE, 0), rules)


def main(rate: float, speed: float, seed: int) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    serve(exchange(rate, speed, seed), [listening], lambda: print(listening.getsockname()[1], flush=True))


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))

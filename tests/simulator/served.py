"""A simulated exchange that is really served on loopback, with a clock that the test moves."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

import httpx
from websockets.sync.client import ClientConnection, connect

from core.timeframes import HOUR
from simulator.clock import MarketClock
from simulator.dialect import Dialect
from simulator.dialects import SPOKEN
from simulator.exchange import Rules, SimulatedExchange
from simulator.interference import Interference
from simulator.listing import LISTINGS
from simulator.market import InventedMarket
from simulator.server import serve
from simulator.tapes.columns import ColumnsTape
from simulator.tapes.tape import Tape

SPOT, PERP = "simulated:BTC-USDT", "simulated:ETH-USDT-PERP"


def invented_hour() -> ColumnsTape:
    """An hour of a spot market, BTCUSDT, and of a USD-M one, ETHUSDT."""
    bitcoin, ether = LISTINGS[:2]
    perpetual = replace(ether, instrument=replace(ether.instrument, expiry="PERP"))
    market = InventedMarket(1, (bitcoin, perpetual))
    return ColumnsTape([one.instrument for one in market.listings], list(market.trades(HOUR)))


def every_kind_hour() -> ColumnsTape:
    """An hour of a spot market, of a linear perpetual and of an inverse one."""
    bitcoin, ether, solana = LISTINGS
    perpetual = replace(ether.instrument, expiry="PERP")
    inverse = replace(
        solana.instrument, quote="USD", expiry="PERP", native="SOLUSD", lot=Decimal(1), size_unit="quote"
    )
    listings = (bitcoin, replace(ether, instrument=perpetual), replace(solana, instrument=inverse))
    market = InventedMarket(2, listings)
    tape = ColumnsTape([one.instrument for one in listings], list(market.trades(HOUR)))
    for one in tape.instruments:
        # Folded once, so that no test waits for the first candles longer than for others.
        tape.klines(one.native, "1m", tape.start, tape.end or 0)
    return tape


@dataclass
class Served:
    exchange: SimulatedExchange
    port: int
    client: httpx.Client
    hand: list[float] = field(default_factory=lambda: [0.0])

    def get(self, path: str, **params):
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def websocket(self, path: str, **how) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.port}{path}", compression=None, proxy=None, max_queue=None, **how)

    def advance(self, seconds: float) -> None:
        self.hand[0] += seconds

    def sent_all(self) -> None:
        """Wait until the streams stand where the clock does."""
        until = time.monotonic() + 30
        while True:
            state = self.get("/tidemill/state")
            if state["sent_through"] == state["now"]:
                return
            assert time.monotonic() < until, "the streams stay behind the clock"
            time.sleep(0.01)


@contextmanager
def served(
    tape: Tape,
    start: int | None = None,
    shift: int = 0,
    rules: Rules | None = None,
    send_buffer: int = 0,
    dialects: Sequence[Callable[[SimulatedExchange], Dialect]] = SPOKEN,
    interference: Interference | None = None,
) -> Iterator[Served]:
    hand = [0.0]
    clock = MarketClock(1.0, tape.start if start is None else start, shift, monotonic=lambda: hand[0])
    exchange = SimulatedExchange(tape, clock, rules)
    listener = socket.socket()
    if send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    ready, stop, failed = threading.Event(), threading.Event(), []

    def run() -> None:
        try:
            spoken = [dialect(exchange) for dialect in dialects]
            serve(exchange, [listener], ready.set, stop, spoken, interference)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(30)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            yield Served(exchange, port, client, hand)
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive(), "the server did not end"
    if failed:
        raise failed[0]


def asked(websocket: ClientConnection, method: str, *params: object, number: object = 1) -> dict:
    """Send a request and give the answer; data that comes before it is passed over."""
    websocket.send(json.dumps({"method": method, "params": list(params), "id": number}))
    while True:
        answer = json.loads(websocket.recv(timeout=10))
        if "id" in answer:
            return answer


def rest_of(websocket: ClientConnection, quiet: float = 0.3) -> list[bytes]:
    """Give the frames that come until none comes for a while."""
    frames = []
    while True:
        try:
            frames.append(websocket.recv(timeout=quiet, decode=False))
        except TimeoutError:
            return frames

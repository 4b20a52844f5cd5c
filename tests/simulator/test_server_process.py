"""The server as a process: it ends when it is told to, quietly, and says what made it fail."""

import json
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from core.timeframes import MINUTE
from simulator.clock import MarketClock
from simulator.exchange import SimulatedExchange
from simulator.server import serve
from simulator.tapes.columns import ColumnsTape

sys.path.insert(0, str(Path(__file__).parent))
from served import invented_hour, served

SERVER = textwrap.dedent(
    """
    import socket, sys
    from simulator.clock import MarketClock
    from simulator.exchange import SimulatedExchange
    from simulator.market import InventedMarket
    from simulator.server import serve
    from simulator.tapes.columns import ColumnsTape

    market = InventedMarket(1)
    tape = ColumnsTape([one.instrument for one in market.listings], list(market.trades(120_000_000)))
    listener = socket.socket(fileno=int(sys.argv[1]))
    exchange = SimulatedExchange(tape, MarketClock(1.0, tape.start + 60_000_000))
    serve(exchange, [listener], lambda: print("ready", flush=True))
    print("ended", flush=True)
    """
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quietly(number):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        mute = socket.create_connection(("127.0.0.1", port))
        with (
            mute,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
            connect(f"ws://127.0.0.1:{port}/ws/btcusdt@trade", proxy=None) as websocket,
        ):
            assert json.loads(websocket.recv(timeout=30))["e"] == "trade"
            assert client.get("/api/v3/ping").json() == {}
            server.send_signal(number)
            with pytest.raises(ConnectionClosed) as closed:
                read_on(websocket)
            assert closed.value.rcvd is not None
            out, errors = server.communicate(timeout=30)
    finally:
        server.kill()
        server.wait()
    assert (server.returncode, out, errors) == (0, "ended\n", "")


def read_on(websocket) -> None:
    while True:
        websocket.recv(timeout=30)


def test_what_the_tape_raises_ends_the_server():
    class Torn(ColumnsTape):
        def between(self, start, end):
            raise RuntimeError("the tape is torn")

    hour = invented_hour()
    tape = Torn(hour.instruments, hour.between(hour.start, hour.start + MINUTE))
    with pytest.raises(RuntimeError, match="the tape is torn"):
        listen_to(tape)


def listen_to(tape) -> None:
    with served(tape, tape.start + 30_000_000) as market, market.websocket("/ws/btcusdt@trade") as websocket:
        market.advance(5)
        with pytest.raises(ConnectionClosed):
            read_on(websocket)


def test_an_end_before_the_start_is_an_end():
    tape = invented_hour()
    stop = threading.Event()
    stop.set()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    served_at = listener.getsockname()
    serve(SimulatedExchange(tape, MarketClock(1.0, tape.start)), [listener], stop=stop)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(served_at, timeout=5)

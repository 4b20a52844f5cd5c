import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Counter

from core.errors import TransientError, UserError
from core.health import Health
from core.settings import MetricsSettings, Settings
from storage.data_folder import DataFolder
from tidemill.components import COMPONENTS, port
from tidemill.endpoint import HOST, ask, described, listen, rss, served
from tidemill.run_files import announced, read


@pytest.fixture
def endpoint() -> Iterator[Callable[..., int]]:
    """Serve routes on a free port."""
    with ExitStack() as stack:

        def serve(registry: CollectorRegistry | None = None, **routes: Callable[[], object]) -> int:
            there = {f"/{name}": tell for name, tell in routes.items()}
            return stack.enter_context(served(listen(0, "metrics.port"), registry or CollectorRegistry(), there))

        yield serve


def get(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection(HOST, port, timeout=20)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_metrics_are_those_of_the_registry(endpoint) -> None:
    registry = CollectorRegistry()
    Counter("tidemill_things", "Things", registry=registry).inc(3)
    status, body = get(endpoint(registry), "/metrics")
    assert (status, b"tidemill_things_total 3.0" in body) == (200, True)


def test_health_says_who_and_how(endpoint) -> None:
    health = Health.judged(["lag 12 s"], [], {"lag": 12})
    told = ask(endpoint(health=described("market", 77, lambda: health)), "/health")
    assert told.pop("figures").keys() == {"lag", "rss_bytes"}
    assert told == {
        "component": "market",
        "pid": os.getpid(),
        "started": 77,
        "state": "degraded",
        "why": ["lag 12 s"],
    }


def test_memory_is_told_in_bytes() -> None:
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    assert 64 << 20 < rss() < 16 << 30


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:9", "[::1]:80", "LOCALHOST:9464"])
def test_loopback_is_answered(endpoint, host: str) -> None:
    assert get(endpoint(x=lambda: 1), "/x", Host=host) == (200, b"1")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "10.0.0.1", "", "localhost:x"]
)
def test_another_host_is_refused(endpoint, host: str) -> None:
    status, body = get(endpoint(x=lambda: "secret"), "/x", Host=host)
    assert (status, b"secret" in body) == (403, False)


def test_a_path_that_is_none_names_those_that_are(endpoint) -> None:
    status, body = get(endpoint(board=dict), "/nothing")
    assert (status, msgspec.json.decode(body)) == (404, ["/metrics", "/board"])


def test_a_route_that_fails_is_told_and_the_next_one_is_answered(endpoint) -> None:
    def fails() -> None:
        raise ValueError("with a secret in it")

    port = endpoint(fails=fails, works=lambda: [1])
    assert get(port, "/fails") == (500, b'"ValueError"')
    with pytest.raises(TransientError, match="500"):
        ask(port, "/fails")
    assert ask(port, "/works?again") == [1]


@pytest.mark.parametrize(
    "sent", [b"", b"\x00\xff\r\n\r\n", b"POST /x HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET " + b"x" * 70_000]
)
def test_what_is_no_request_does_no_harm(endpoint, sent: bytes, capfd) -> None:
    port = endpoint(works=lambda: [1])
    with socket.create_connection((HOST, port)) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        client.recv(1000)
    assert ask(port, "/works") == [1]
    assert capfd.readouterr() == ("", "")


def test_a_client_that_says_nothing_keeps_nobody_waiting(endpoint) -> None:
    port = endpoint(works=lambda: [1])
    with socket.create_connection((HOST, port)):
        assert ask(port, "/works", timeout=20) == [1]


def test_the_port_is_free_again_and_no_thread_is_left() -> None:
    with served(listen(0, "metrics.port"), CollectorRegistry(), {}) as port:
        get(port, "/metrics")
    listen(port, "metrics.port").close()
    assert [thread for thread in threading.enumerate() if thread.name == "endpoint"] == []


def test_a_port_in_use_is_named_with_its_setting() -> None:
    with listen(0, "metrics.port") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} on 127.0.0.1 .*'simulator.port'"):
            listen(port, "simulator.port")


def test_nobody_there_is_a_transient_error() -> None:
    with listen(0, "x") as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TransientError, match=f"port {port} does not answer /health"):
        ask(port, "/health")


def test_components_have_ports_one_after_another_or_free_ones() -> None:
    def ports(first: int) -> list[int]:
        return [port(Settings(metrics=MetricsSettings(port=first)), name) for name in COMPONENTS]

    assert ports(9464) == [9464, 9465, 9466, 9467, 9468, 9469]
    assert ports(0) == [0] * 6


def test_a_run_file_is_there_while_the_process_runs(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert read(folder, "market") is None
    with announced(folder, "market", 99) as mine:
        assert read(folder, "market") == mine
        assert (mine.component, mine.pid, mine.port) == ("market", os.getpid(), 99)
    assert read(folder, "market") is None


def test_a_run_file_stays_when_the_process_fails_and_another_ones_is_left_alone(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with pytest.raises(ValueError, match="bad"), announced(folder, "market", 99):
        raise ValueError("bad")
    assert read(folder, "market") is not None
    with announced(folder, "market", 98):
        (folder.run / "market.json").write_text('{"component": "market", "pid": 1, "port": 2, "started": 3}')
    assert read(folder, "market").pid == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"component": "x", "pid": "y"}', b"\xff"])
def test_a_run_file_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    folder = DataFolder(tmp_path)
    folder.run.mkdir()
    (folder.run / "market.json").write_bytes(content)
    assert read(folder, "market") is None

"""The endpoint of a process: its metrics, its health and what else it tells, over HTTP on loopback."""

import os
import re
import resource
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from core.errors import TransientError, UserError
from core.health import Health

HOST = "127.0.0.1"
Tell = Callable[[], Any]
"""Gives what a route answers: anything that msgspec writes as JSON."""

_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.I)
_POLL_SECONDS = 0.1
_CLIENT_SECONDS = 5.0
_LARGEST_ANSWER = 16 * 1024 * 1024
_STATM = Path("/proc/self/statm")


def listen(port: int, setting: str) -> socket.socket:
    """Listen on a port of loopback; raise `UserError` naming the port and the ``setting`` that says it."""
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        # Its own text names the address once more.
        why = os.strerror(error.errno or 0)
        raise UserError(
            f"port {port} on {HOST} cannot be used ({why}): stop what uses it, or change the setting '{setting}' "
            "(0 takes a free one)"
        ) from None


@contextmanager
def served(listening: socket.socket, registry: CollectorRegistry, routes: Mapping[str, Tell]) -> Iterator[int]:
    """Answer ``/metrics`` from a registry and ``routes`` as JSON while the block runs; give the port.

    The socket is closed at the end. A request for another host than loopback is refused, so that no page in a
    browser can read what is told here under a name of its own.
    """
    server = _Server(listening, registry, routes)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="endpoint", daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def described(component: str, started: int, health: Callable[[], Health]) -> Tell:
    """Make the route ``/health``: component, pid, started (µs since the epoch, UTC), state, why, figures.

    The figure ``rss_bytes`` is the memory of this process.
    """

    def tell() -> dict[str, Any]:
        now = health()
        return {
            "component": component,
            "pid": os.getpid(),
            "started": started,
            "state": now.state,
            "why": now.why,
            "figures": {**now.figures, "rss_bytes": rss()},
        }

    return tell


def rss() -> int:
    """Give the resident memory of this process in bytes (where the system does not tell: its largest so far)."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * resource.getpagesize()
    except OSError:
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024


def ask(port: int, path: str, timeout: float = 1.0) -> Any:
    """Ask the endpoint of a component for one of its JSON routes; raise `TransientError` where it does not answer."""
    connection = HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            raise TransientError(f"port {port} answers {path} with {answer.status} {answer.reason}")
        return msgspec.json.decode(answer.read(_LARGEST_ANSWER))
    except (OSError, HTTPException, msgspec.MsgspecError) as error:
        raise TransientError(f"port {port} does not answer {path}: {error or type(error).__name__}") from None
    finally:
        connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, registry: CollectorRegistry, routes: Mapping[str, Tell]) -> None:
        # Not HTTPServer's way of binding: it looks the host's name up, which can take seconds.
        socketserver.BaseServer.__init__(self, listening.getsockname(), _Handler)
        self.socket = listening
        self.registry = registry
        self.routes = routes

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a client went away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_SECONDS
    server_version, sys_version = "tidemill", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not _LOOPBACK.fullmatch(self.headers.get("Host", "")):
            self._answer(HTTPStatus.FORBIDDEN, b'"only loopback is answered here"')
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, generate_latest(self.server.registry), CONTENT_TYPE_LATEST)
        elif path in self.server.routes:
            self._tell(self.server.routes[path])
        else:
            self._answer(HTTPStatus.NOT_FOUND, msgspec.json.encode(["/metrics", *sorted(self.server.routes)]))

    def _tell(self, route: Tell) -> None:
        try:
            body = msgspec.json.encode(route())
        except Exception as error:  # noqa: BLE001 - what is told must not end the process that tells it
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, msgspec.json.encode(type(error).__name__))
        else:
            self._answer(HTTPStatus.OK, body)

    def _answer(self, status: HTTPStatus, body: bytes, content: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: who asks is this machine."""

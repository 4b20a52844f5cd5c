"""One child of the supervisor: started, watched, started again when it ended, stopped."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from tidemill.restarts import Restarts

_LOG_BYTES = 8 * 1024 * 1024
_TAIL_BYTES = 4096
_LONGEST_LINE = 300


@dataclass(frozen=True, slots=True)
class Spec:
    """Say how a child is started: ``argv`` makes its command line from the descriptor of its lifeline.

    ``told`` is written into the lifeline; ``passed`` are further descriptors that it inherits; what it prints
    goes to ``log``.
    """

    name: str
    argv: Callable[[int], Sequence[str]]
    log: Path
    told: bytes = field(repr=False)
    passed: tuple[int, ...] = ()


class Exit(msgspec.Struct, frozen=True):
    """Say how a process ended: at µs since the epoch (UTC), its exit code or its signal, the last line it logged."""

    at: int
    code: int | None
    signal: str | None
    said: str

    def __str__(self) -> str:
        how = f"ended by {self.signal}" if self.signal else f"ended with exit code {self.code}"
        return f"{how}: {self.said}" if self.said else how


class ChildState(msgspec.Struct, frozen=True):
    """Say how a child is; ``started`` and ``again_at`` in µs since the epoch (UTC), ``exits`` the newest last."""

    name: str
    state: Literal["running", "waiting", "stopped"]
    pid: int | None
    started: int | None
    restarts: int
    looping: bool
    again_at: int | None
    exits: tuple[Exit, ...]


class Child:
    """Keep one process running until it is stopped; ``note`` is told, in one line, what happens to it."""

    KEPT_EXITS = 5

    def __init__(self, spec: Spec, note: Callable[[str], None], restarts: Restarts | None = None) -> None:
        self.spec = spec
        self._note = note
        self._restarts = restarts or Restarts()
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"keep {spec.name}", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0
        self._started = self._again_at = 0
        self._starts = 0
        self._exits: tuple[Exit, ...] = ()

    def start(self) -> None:
        """Start the process, and start it again whenever it ends."""
        self._thread.start()

    def stop(self, patience: float, hurry: threading.Event) -> None:
        """End the process: SIGTERM, then SIGKILL after ``patience`` seconds or as soon as ``hurry`` is set."""
        with self._turn:
            self._stopping.set()
            self._signal(signal.SIGTERM)
        deadline = time.monotonic() + patience
        while self._thread.is_alive() and time.monotonic() < deadline and not hurry.is_set():
            self._thread.join(0.05)
        if self._thread.is_alive():
            if not hurry.is_set():
                self._note(f"{self.spec.name} does not stop within {patience:.0f} s: it is killed")
            with self._turn:
                self._signal(signal.SIGKILL)
            self._thread.join()

    def state(self) -> ChildState:
        """Give the state at this moment."""
        with self._turn:
            running = self._process is not None
            ran = time.monotonic() - self._since if running else 0.0
            return ChildState(
                self.spec.name,
                "running" if running else "stopped" if self._stopping.is_set() else "waiting",
                self._process.pid if self._process else None,
                self._started if running else None,
                max(0, self._starts - 1),
                self._restarts.looping(ran),
                self._again_at or None if not running else None,
                self._exits,
            )

    def _live(self) -> None:
        while (lifeline := self._spawn()) is not None:
            began = time.monotonic()
            process = self._process
            if process is not None:
                self._tell(lifeline)
                process.wait()
            ended = _exit(process, self.spec.log)
            os.close(lifeline)
            if self._ended(ended, time.monotonic() - began):
                return

    def _spawn(self) -> int | None:
        """Start the process; give our end of its lifeline, None where it is no longer wanted."""
        with self._turn:
            if self._stopping.is_set():
                return None
            theirs, ours = os.pipe()
            try:
                with opened_log(self.spec.log) as log:
                    self._process = subprocess.Popen(
                        list(self.spec.argv(theirs)),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        pass_fds=(theirs, *self.spec.passed),
                        # Ctrl-C in the terminal is the supervisor's to hear: it stops its children in order.
                        start_new_session=True,
                    )
            except OSError as error:
                self._process = None
                self._note(f"{self.spec.name} cannot be started: {error.strerror}")
            finally:
                os.close(theirs)
            self._starts += 1
            self._since, self._started = time.monotonic(), _now()
            return ours

    def _tell(self, lifeline: int) -> None:
        told = memoryview(self.spec.told)
        with suppress(BrokenPipeError):
            while told:
                told = told[os.write(lifeline, told) :]

    def _ended(self, ended: Exit, ran: float) -> bool:
        """Take note of an end and wait; tell whether it is over."""
        name = self.spec.name
        with self._turn:
            self._process = None
            if self._stopping.is_set():
                return True
            self._exits = (*self._exits, ended)[-self.KEPT_EXITS :]
            was = self._restarts.looping(0.0)
            wait = self._restarts.ended(time.monotonic(), ran)
            self._again_at = _now() + int(wait * 1e6)
            looping = self._restarts.looping(0.0)
        self._note(f"{name} {ended}; starts again in {wait:.1f} s")
        if looping and not was:
            self._note(f"{name} is in a crash loop: see {self.spec.log}")
        return self._stopping.wait(wait)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def opened_log(path: Path) -> BinaryIO:
    """Open a log for appending; one that has grown too large is put aside as ``.1`` first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def _exit(process: subprocess.Popen[bytes] | None, log: Path) -> Exit:
    code = process.returncode if process else None
    if code is not None and code < 0:
        return Exit(_now(), None, _name(-code), "")
    return Exit(_now(), code, None, last_line(log))


def last_line(log: Path) -> str:
    """Give the last line of a log, without what every line of ours begins with; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    line = next((line.strip() for line in reversed(lines) if line.strip()), "").removeprefix("tidemill: ")
    with suppress(msgspec.MsgspecError):
        line = msgspec.json.decode(line, type=_Event).event
    return "".join(c if c.isprintable() else " " for c in line)[:_LONGEST_LINE]


class _Event(msgspec.Struct):
    event: str


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _now() -> int:
    return time.time_ns() // 1_000

"""What was sent to each host and which hosts want nothing, for all processes that name the same folder."""

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import msgspec

from core.errors import TransientError
from exchanges import breaker as circuit
from exchanges import window
from exchanges.breaker import Breaker
from exchanges.budget_file import opened
from exchanges.enduring_clock import Instant, after, passing_clock, wall_clock
from exchanges.window import Window

Kind: TypeAlias = Literal["rest", "connect"]
T = TypeVar("T")

_READ = "SELECT state FROM hosts WHERE host = ?"
_WRITE = "INSERT INTO hosts VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state"
_MICROS = 1_000_000


class _Host(msgspec.Struct, frozen=True):
    clock: Instant | None = None
    rest: Window = Window()
    connect: Window = Window()
    breaker: Breaker = Breaker()


@dataclass(frozen=True, slots=True)
class Wish:
    """Name what is to be sent: ``amount`` of a budget of ``most`` in ``seconds``.

    ``kind`` is ``rest`` for the weight of a request, ``connect`` for an attempt to open a websocket. The latter is
    held by bans only: attempts have a back-off of their own, and a socket that is back is worth more than a page.
    """

    kind: Kind
    amount: int
    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Admission:
    """Say whether it may be sent, and is counted: ``wait`` is 0. Else nothing is, for so many seconds.

    ``held`` says that it is the breaker that keeps it back, not the budget; ``status`` is the HTTP status of a ban,
    0 for failures; ``why`` in words. ``trial`` says that the breaker waits for how this one ends; ``report`` that a
    success is to be told.
    """

    wait: float = 0.0
    held: bool = False
    status: int = 0
    why: str = ""
    trial: bool = False
    report: bool = False


@dataclass(frozen=True, slots=True)
class BreakerState:
    """Say how a host's breaker is; ``until`` (µs since the epoch, UTC) is when it lets a trial through.

    ``half_open``: a trial is being made, or the next request is one. ``failures`` are those in a row.
    """

    host: str
    state: Literal["closed", "open", "half_open"]
    until: int | None
    why: str
    failures: int

    @property
    def words(self) -> str:
        """Say it in a line."""
        if self.state == "closed" or self.until is None:
            return f"{self.host} is asked as usual"
        if self.state == "half_open":
            return f"{self.host} is on trial after failures or a ban: {self.why}"
        at = datetime.fromtimestamp(self.until / _MICROS, UTC)
        return f"nothing is sent to {self.host} until {at:%Y-%m-%d %H:%M:%S} UTC: {self.why}"


class Budgets:
    """Keep the budgets and breakers of all hosts, in a folder that may be shared, or in memory without one.

    A host is what stands between ``//`` and ``/`` of an address. What is admitted counts even where the process is
    killed before it is sent. Every method is one short transaction, may be called from any thread, and raises
    `TransientError` where the folder cannot be written; nothing is to be sent then. The clocks give µs.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        wall: Callable[[], int] = wall_clock,
        passing: Callable[[], int] = passing_clock,
    ) -> None:
        self._folder, self._wall, self._passing = folder, wall, passing
        self._turn = threading.Lock()
        self._file: sqlite3.Connection | None = None

    def admit(self, host: str, wish: Wish) -> Admission:
        """Ask whether something may be sent, and count it where it may."""

        def asked(state: _Host, now: int) -> tuple[_Host, Admission]:
            breaker = state.breaker
            binding = breaker.until is not None and (wish.kind == "rest" or breaker.status > 0)
            if binding and (left := circuit.held(breaker, now)):
                return state, Admission(left / _MICROS, held=True, status=breaker.status, why=breaker.why)
            used = state.rest if wish.kind == "rest" else state.connect
            limits = wish.amount, wish.most, int(wish.seconds * _MICROS)
            if pause := window.wait(used, *limits, now):
                return state, Admission(pause / _MICROS)
            taken = window.take(used, *limits, now)
            state = msgspec.structs.replace(state, **{wish.kind: taken})
            if binding:
                state = msgspec.structs.replace(state, breaker=circuit.tried(breaker, now))
            return state, Admission(trial=binding, report=not breaker.untroubled and (binding or wish.kind == "rest"))

        return self._change(host, asked)

    def succeeded(self, host: str, *, trial: bool) -> None:
        """Note an answer; needed only where the admission says that it is to be told."""
        self._turned(host, lambda breaker, now: circuit.succeeded(breaker, trial))

    def failed(self, host: str, why: str, *, trial: bool) -> None:
        """Note that a request came to nothing."""
        self._turned(host, lambda breaker, now: circuit.failed(breaker, now, why, trial))

    def banned(self, host: str, status: int, said: float | None, why: str, *, trial: bool) -> float:
        """Note that the venue wants nothing for ``said`` seconds, None where it does not say; give for how many."""
        micros = None if said is None else int(said * _MICROS)

        def change(state: _Host, now: int) -> tuple[_Host, float]:
            breaker = circuit.banned(state.breaker, now, status, micros, why, trial)
            return msgspec.structs.replace(state, breaker=breaker), circuit.held(breaker, now) / _MICROS

        return self._change(host, change, lasting=True)

    def breakers(self) -> list[BreakerState]:
        """Give the state of every host that was ever asked, by name; nothing is changed."""
        with self._turn:
            rows = self._tried(lambda file: file.execute("SELECT host, state FROM hosts ORDER BY host").fetchall())
        return [self._shown(host, _read(state)) for host, state in rows]

    def close(self) -> None:
        """Close the file; it is opened again where it is needed."""
        with self._turn:
            self._close()

    def _turned(self, host: str, turn: Callable[[Breaker, int], Breaker]) -> None:
        def change(state: _Host, now: int) -> tuple[_Host, None]:
            return msgspec.structs.replace(state, breaker=turn(state.breaker, now)), None

        self._change(host, change)

    def _change(self, host: str, change: Callable[[_Host, int], tuple[_Host, T]], *, lasting: bool = False) -> T:
        def transact(file: sqlite3.Connection) -> T:
            # A ban is to survive a loss of power, too; it is rare enough to wait for the disk.
            file.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
            file.execute("BEGIN IMMEDIATE")
            try:
                state = _read((file.execute(_READ, (host,)).fetchone() or (b"",))[0])
                # Read inside: clocks of processes that wait for each other must not cross.
                clock = after(state.clock, self._wall(), self._passing())
                state, result = change(state, clock.told)
                state = msgspec.structs.replace(state, clock=clock)
                file.execute(_WRITE, (host, msgspec.json.encode(state)))
                file.execute("COMMIT")
            except BaseException:
                if file.in_transaction:
                    file.execute("ROLLBACK")
                raise
            return result

        with self._turn:
            return self._tried(transact)

    def _tried(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._file = self._file or opened(self._folder)
            return work(self._file)
        except (sqlite3.Error, OSError) as error:
            # Opened anew next time, and mended where it is damaged.
            self._close()
            place = self._folder or "memory"
            raise TransientError(f"the budgets of requests in {place} cannot be kept: {error}") from None

    def _close(self) -> None:
        file, self._file = self._file, None
        # What is in memory only is not to be forgotten.
        if file is not None and self._folder is not None:
            file.close()
        elif file is not None:
            self._file = file

    def _shown(self, host: str, state: _Host) -> BreakerState:
        breaker = state.breaker
        if breaker.until is None:
            return BreakerState(host, "closed", None, breaker.why, breaker.failures)
        wall = self._wall()
        left = circuit.held(breaker, after(state.clock, wall, self._passing()).told)
        shut = left > 0 and not breaker.trial
        return BreakerState(host, "open" if shut else "half_open", wall + left, breaker.why, breaker.failures)


def breakers(folder: Path) -> list[BreakerState]:
    """Give the breakers that a folder holds; none where there is no such folder, and none is created.

    Raises `TransientError` where it cannot be read.
    """
    if not folder.is_dir():
        return []
    budgets = Budgets(folder)
    try:
        return budgets.breakers()
    finally:
        budgets.close()


def _read(state: bytes) -> _Host:
    try:
        return msgspec.json.decode(state, type=_Host)
    except msgspec.MsgspecError:
        # None yet, or of another version: nobody is banned for ever by what cannot be read.
        return _Host()

"""Being told to stop: raised in the main thread until a command runs, then handed to a thread."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

TERMINATED = 143
"""The exit code of a process that SIGTERM ended, as a shell counts it."""

_AGAIN = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_raised: list[int] = []


def raise_on_signals() -> None:
    """Turn SIGTERM into `SystemExit` and Ctrl-C into `KeyboardInterrupt`, and see to it that they arrive.

    Python drops what a handler raises in a place that cannot raise: a weak reference's callback (each import has
    some), a destructor, an extension module that clears errors while it looks for a package. What Python tells of
    is signalled again; for the rest there is `refuse_stopped`. An ignored signal (`nohup`) stays ignored.
    """
    _raised.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise)
    sys.unraisablehook = _signalled_again


def leave_on_signals(code: int) -> None:
    """Let a signal end the process at once with ``code``: its work is done, and only Python is still tidying up."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        os._exit(code)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, leave)


def refuse_stopped() -> None:
    """Raise again what a signal raised before, for whoever goes on because it never arrived."""
    if _raised:
        _raise(_raised[-1], None)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    _raised.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    # SystemExit unwinds every `with` on the way out: servers stop, locks and temporary files go.
    raise SystemExit(TERMINATED)


def _signalled_again(dropped: "UnraisableHookArgs") -> None:
    if isinstance(dropped.exc_value, KeyboardInterrupt | SystemExit) and _raised:
        main = threading.main_thread().ident
        again = threading.Timer(_AGAIN, signal.pthread_kill, [main, _raised[-1]])
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(dropped)


@contextmanager
def stop_signals(on_signal: Callable[[int], None]) -> Iterator[None]:
    """Call ``on_signal`` with the number of each signal that asks to stop, in a thread, while the block runs.

    In a thread, because a handler interrupts the main thread anywhere, also inside the lock of an event that it
    would set. A signal that was ignored before (`nohup`) stays ignored.
    """
    # The one queue whose put may interrupt itself.
    heard: SimpleQueue[int | None] = SimpleQueue()

    def hear(number: int, frame: FrameType | None) -> None:
        heard.put(number)

    def pass_on() -> None:
        while (number := heard.get()) is not None:
            on_signal(number)

    thread = threading.Thread(target=pass_on, name="signals", daemon=True)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, hear)
    thread.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        heard.put(None)
        thread.join()

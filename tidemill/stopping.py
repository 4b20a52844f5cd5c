"""Being told to stop: SIGINT, SIGTERM and SIGHUP, handed to a thread."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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

"""Reading ahead: a thread fetches the next items while the last one is worked on."""

from collections.abc import Iterable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_LOOK = 0.05


def read_ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield the items in their order, up to ``depth`` of them (at least 1) fetched before they are asked for.

    It pays where fetching and working both leave the interpreter, as Arrow and compiled loops do. ``items`` is
    run through in another thread, one that ends when the iteration ends or is given up. What fetching raises is
    raised here, behind the items that came before it.
    """
    queue: Queue[T | _Ended] = Queue(depth)
    stop = Event()

    def fetch() -> None:
        try:
            for item in items:
                if not _put(queue, item, stop):
                    return
            ended = _Ended(None)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that asks
            ended = _Ended(error)
        _put(queue, ended, stop)

    thread = Thread(target=fetch, name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _Ended):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()


class _Ended:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def _put(queue: "Queue[T | _Ended]", item: "T | _Ended", stop: Event) -> bool:
    while not stop.is_set():
        try:
            queue.put(item, timeout=_LOOK)
        except Full:
            continue
        return True
    return False

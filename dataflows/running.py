"""Running a dataflow with recovery: where its store is, how it is stopped, how its errors come out."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from core.errors import IntegrityError, TidemillError
from dataflows.source import Reading

EPOCH = timedelta(seconds=1)
"""How often state is snapshotted; the lake is committed with it, or a few epochs later."""

_MARK = "tidemill.flow"


def run(flow: Dataflow, recovery: Path, reading: Reading, epoch: timedelta = EPOCH) -> None:
    """Run a dataflow until its feeds end or it is told to stop (SIGINT, SIGTERM, ``reading.stop``).

    ``recovery`` is the folder of its recovery store, made on first use. The errors of Tidemill come out as they
    were raised; a store that belongs to another flow or is damaged is an `IntegrityError`.
    """
    store = _store(recovery, flow.flow_id)
    try:
        with _stopping(reading):
            cli_main(flow, epoch_interval=epoch, recovery_config=RecoveryConfig(str(store), timedelta(0)))
    except Exception as error:
        cause = _first_of_ours(error)
        if cause is not None:
            raise cause from error
        if "recovery" in str(error).lower() or "sqlite" in str(error).lower():
            raise IntegrityError(
                f"the recovery store {recovery} cannot be used ({_last_line(error)}): "
                "move it away to build it again from the journal"
            ) from error
        raise


def _store(recovery: Path, flow_id: str) -> Path:
    if not recovery.exists():
        # Made under another name first: a store that is half made would be refused for ever.
        making = recovery.with_name(recovery.name + ".new")
        making.mkdir(parents=True, exist_ok=True)
        for left in making.iterdir():
            left.unlink()
        init_db_dir(making, 1)
        (making / _MARK).write_text(flow_id)
        making.rename(recovery)
    mark = recovery / _MARK
    if not mark.is_file() or mark.read_text() != flow_id or not list(recovery.glob("*.sqlite3")):
        raise IntegrityError(
            f"the recovery store {recovery} is not that of the dataflow {flow_id!r}: "
            "move it away to build it again from the journal"
        )
    return recovery


@contextmanager
def _stopping(reading: Reading) -> Iterator[None]:
    if current_thread() is not main_thread():
        yield
        return
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        reading.stop.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        # Whoever called decides what being told to stop means for its own ending.
        signal.raise_signal(received[0])


def _first_of_ours(error: BaseException | None) -> TidemillError | None:
    while error is not None:
        if isinstance(error, TidemillError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]

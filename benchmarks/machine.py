"""The machine that figures belong to."""

import os
import platform
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder on the project's disk, out of sight of version control, that is removed at the end.

    Not the system's folder for temporary files: that may be memory, where a sync costs nothing.
    """
    place = Path(__file__).parents[1] / "build"
    place.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="benchmark-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def described() -> str:
    """Say cores, processor, memory, Python and how busy the machine is already, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"{os.cpu_count()} cores, {_processor()}, {memory:.0f} GiB of memory, "
        f"{platform.system()}, Python {platform.python_version()}; load before the run {os.getloadavg()[0]:.1f}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def waited() -> float:
    """Give the seconds for which this process's threads could have run while others held their core; 0 if unknown."""
    delays = []
    for thread in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):
            delays.append(int(thread.read_text().split()[1]))
    return sum(delays) / 1e9


def peak_memory() -> float:
    """Give this process's peak resident memory in MiB, without that of the process it was forked from."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

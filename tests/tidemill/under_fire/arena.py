"""The arena: an exchange and `tidemill up` recording it, in processes of their own, and what is done to them."""

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.settings import Settings, load
from storage import lake
from storage.data_folder import DataFolder, lake_path
from storage.ledger.ledger import Ledger
from storage.ledger.server import serve

sys.path.insert(0, str(Path(__file__).parent))
import exchange as exchange_process

NAMES = ("simulated:BTC-USDT", "simulated:ETH-USDT", "simulated:SOL-USDT")
COMPONENTS = ("supervisor", "ledger", "recorder", "market", "reviser")

_COMMON = """
data = "{data}"
[metrics]
port = 0
"""
_INVENTED = """
[candles]
timeframes = ["1m", "5m"]
[[strategies]]
name = "rsi"
params = {{ length = 3, oversold = 45, overbought = 55 }}
[[feeds]]
name = "simulated"
instruments = ["simulated:BTC-USDT", "simulated:ETH-USDT", "simulated:SOL-USDT"]
websocket_url = "ws://127.0.0.1:{ports[0]}"
rest_url = "http://127.0.0.1:{ports[0]}"
history_minutes = {history}
[recorder]
first_data_s = 3
stale_s = 3
"""


class Exchange:
    """Run a command that serves an exchange; its port is what it prints after this machine's address.

    A number alone on a line will do, too.
    """

    def __init__(self, folder: Path, argv: Sequence[str]) -> None:
        self._log = folder / "exchange.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True)

    @functools.cached_property
    def port(self) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"(?:^|127\.0\.0\.1:)([0-9]+)", line):
                return int(found[1])
        raise AssertionError(f"the exchange ended with {self._process.wait()}; see {self._log}")

    def ask(self, what: str, method: str = "GET", **values: Any) -> dict[str, Any]:
        """Ask the exchange's operator."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/tidemill/{what}",
            json.dumps(values).encode() if method == "POST" else None,
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Arena:
    """Run exchanges and `up` in processes of their own; every process that was seen is remembered.

    ``config`` is the settings, in which ``{ports[0]}`` stands for the first exchange's port.
    """

    def __init__(self, folder: Path, config: str, *exchanges: Sequence[str]) -> None:
        self.folder = folder
        self.config = folder / "tidemill.toml"
        self.seen: set[int] = set()
        self.up: subprocess.Popen[bytes] | None = None
        self.exchanges = [Exchange(folder, argv) for argv in exchanges]
        ports = [exchange.port for exchange in self.exchanges]
        self.config.write_text((_COMMON + config).format(data=folder / "data", ports=ports))
        self.settings: Settings = load(self.config, None, {})
        self.data = DataFolder(self.settings.data)

    def start(self) -> None:
        """Start `up`."""
        with (self.folder / "up.log").open("ab") as log:
            self.up = subprocess.Popen(
                [sys.executable, "-m", "tidemill", "up", "--plain", "--config", self.config],
                stdout=log,
                stderr=log,
                preexec_fn=_heeding,
            )
        self.seen.add(self.up.pid)

    def restart(self) -> None:
        """Start `up` again where it was killed."""
        code = None if self.up is None else self.up.poll()
        # Right after a kill its children may still hold what it needs: that is told by 1.
        assert code in (None, 1, -signal.SIGKILL), (
            f"up ended with {code}: {(self.folder / 'up.log').read_text()[-800:]}"
        )
        if code is not None:
            self.start()

    def pid(self, victim: str) -> int | None:
        """Give the process of a component or of PostgreSQL, None while there is none."""
        with contextlib.suppress(OSError, ValueError, IndexError, KeyError, StopIteration):
            if victim == "postgres":
                found = int(next(self.data.ledger.rglob("postmaster.pid")).read_text().split()[0])
            else:
                found = int(json.loads((self.data.run / f"{victim}.json").read_text())["pid"])
            self.seen.add(found)
            return found
        return None

    def health(self, component: str) -> dict[str, Any]:
        """Ask a component how it is; ``down`` where it does not answer."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            port = json.loads((self.data.run / f"{component}.json").read_text())["port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
            return found
        return {"state": "down", "why": [], "figures": {}}

    def peaks(self) -> dict[str, int]:
        """Give the most memory (bytes) that each component has ever had, and PostgreSQL's largest process.

        Zero where the kernel does not tell.
        """
        pids = {name: pid for name in (*COMPONENTS, "postgres") if (pid := self.pid(name))}
        return {
            name: max(map(_peak, self.family(pid) if name == "postgres" else [pid])) for name, pid in pids.items()
        }

    def kill(self, victim: str) -> bool:
        """Kill a component, PostgreSQL, ``up`` or ``all`` at once; say whether anything was hit."""
        if victim == "all":
            hit = [self.kill(one) for one in ("up", "postgres", *COMPONENTS[1:])]
            return any(hit)
        pid = self.up.pid if victim == "up" and self.up else self.pid(victim)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        if victim == "up" and self.up:
            self.up.wait()
        return True

    def note_processes(self) -> None:
        """Remember every process that runs now."""
        for component in (*COMPONENTS, "postgres"):
            self.pid(component)

    def stop(self) -> int:
        """Stop `up` as an operator does; give its exit code."""
        assert self.up is not None
        self.up.send_signal(signal.SIGTERM)
        return self.up.wait(60)

    def close(self) -> None:
        """End everything that was started."""
        if self.up is not None and self.up.poll() is None:
            self.up.kill()
            self.up.wait()
        for exchange in self.exchanges:
            exchange.close()

    def family(self, pid: int) -> list[int]:
        """Give a process and all that it started, and they did."""
        found = [pid]
        for one in found:
            with contextlib.suppress(OSError):
                tasks = Path(f"/proc/{one}/task").glob("*/children")
                found.extend(int(child) for task in tasks for child in task.read_text().split())
        return found

    def left_over(self, patience: float = 15.0) -> list[int]:
        """Give the processes of ours that do not end."""
        deadline = time.monotonic() + patience
        while alive := [pid for pid in self.seen if _alive(pid)]:
            if time.monotonic() > deadline:
                return alive
            time.sleep(0.1)
        return []

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[Any, Ledger]]:
        """Open lake and ledger to read."""
        with serve(self.settings, self.data) as address, Ledger(address) as ledger:
            session = lake.connect(address, lake_path(self.settings, self.data), read_only=True)
            try:
                yield session, ledger
            finally:
                session.close()


class InventedArena(Arena):
    """Let the exchange have the invented market of `exchange`, which can be drawn again to know what was sent."""

    def __init__(self, folder: Path, rate: float, speed: float, seed: int, history: int = 3) -> None:
        self.rate, self.seed = rate, seed
        argv = [sys.executable, exchange_process.__file__, str(rate), str(speed), str(seed)]
        super().__init__(folder, _INVENTED.replace("{history}", str(history)), argv)
        self.exchange = self.exchanges[0]


def _heeding() -> None:
    # A shell that started us in the background made us deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError, IndexError):
        # A zombie whose parent has not looked yet is gone.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0

"""`python -m benchmarks.soak --minutes 60 --instruments 500 --rate 5000`: the whole system under a constant load.

`tidemill up` records an exchange on this machine; every few seconds its processes are looked at. After a third of the
time all sockets are cut at once. At the end all that is stored is compared with all that was sent.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.machine import described, scratch
from benchmarks.soak_market import RepeatedMarket, instruments
from benchmarks.soak_report import Soaked, report
from benchmarks.soak_samples import Plan, Sample, System, written
from benchmarks.soak_stored import compared
from benchmarks.table import Row, kept, printed
from core.settings import load

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ABOUT = "Memory, lag and processor time of every process over the soak"
MARKERS = "<!-- soak -->", "<!-- end of soak -->"
_CONFIG = """
data = "{data}"
[metrics]
port = 0
[journal]
max_bytes = 2147483648
[[strategies]]
name = "rsi"
[[feeds]]
name = "soak"
venue = "simulated"
instruments = {names}
streams_per_connection = {streams}
websocket_url = "ws://127.0.0.1:{port}"
rest_url = "http://127.0.0.1:{port}"
history_minutes = 0
"""
_PATIENCE = 420.0
_SETTLING = 120.0


class Exchange:
    """Run the exchange in a process of its own."""

    def __init__(self, plan: Plan, log: Path) -> None:
        argv = [sys.executable, "-m", "benchmarks.soak_exchange", str(plan.instruments), str(plan.rate)]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
            )
        self.port, self.shift = map(int, self._line().split())

    def figures(self) -> dict[str, int]:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, int] = json.loads(self._line())
        return found

    def ask(self, what: str, method: str = "POST") -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/tidemill/{what}"
        request = urllib.request.Request(url, b"{}" if method == "POST" else None, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the exchange has ended"
        return line


@contextmanager
def running(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `tidemill up`; stop it in good order."""
    argv = [sys.executable, "-m", "tidemill", "up", "--plain", "--config", config]
    with log.open("wb") as file:
        up = subprocess.Popen(argv, cwd=ROOT, stdout=file, stderr=file)
    try:
        yield up
    finally:
        up.send_signal(signal.SIGTERM)
        try:
            up.wait(90)
        except subprocess.TimeoutExpired:
            up.kill()
            up.wait()


def soak(plan: Plan, folder: Path) -> Soaked:
    """Run it in a folder."""
    names = [one.name for one in instruments(plan.instruments)]
    streams = -(-plan.instruments // plan.connections)
    exchange = Exchange(plan, folder / "exchange.log")
    try:
        config = folder / "tidemill.toml"
        config.write_text(
            _CONFIG.format(data=folder / "data", names=json.dumps(names), streams=streams, port=exchange.port)
        )
        settings = load(config, None, {})
        with running(config, folder / "up.log") as up:
            started = _all_open(exchange, up, -(-plan.instruments // streams), folder)
            run = _watched(plan, exchange, System(settings.data, exchange.process.pid), up)
            settled = _settled(exchange, System(settings.data, exchange.process.pid))
            last = exchange.ask("state", "GET")["last_ids"]
        samples, cut_at, cut, back = run
        figures = exchange.figures()
        tape = RepeatedMarket(plan.instruments, plan.rate)
        stored = compared(settings, tape, exchange.shift, last)
    finally:
        exchange.close()
    return Soaked(plan, samples, started, cut_at, cut, back, figures, settled, stored)


def _all_open(exchange: Exchange, up: "subprocess.Popen[bytes]", wanted: int, folder: Path) -> float:
    began = time.monotonic()
    while exchange.figures()["open"] < wanted:
        assert up.poll() is None, (folder / "up.log").read_text()[-2000:]
        assert time.monotonic() < began + _PATIENCE, f"{exchange.figures()}: not all {wanted} sockets are open"
        time.sleep(0.5)
    return time.monotonic() - began


def _watched(
    plan: Plan, exchange: Exchange, system: System, up: "subprocess.Popen[bytes]"
) -> tuple[list[Sample], float, int, float | None]:
    began = time.monotonic()
    samples: list[Sample] = []
    cut_at, cut, back = 0.0, 0, None
    while (now := time.monotonic() - began) < plan.seconds:
        assert up.poll() is None, "up has ended"
        figures = exchange.figures()
        if cut and back is None and figures["open"] >= cut:
            back = round(now - cut_at, 1)
        if not cut and now >= plan.seconds / 3:
            cut, cut_at = figures["open"], now
            exchange.ask("disconnect")
        if not samples or now >= samples[-1].at + plan.every:
            # A component that is started again does not answer: what is seen then is a hole.
            with suppress(OSError, ValueError, KeyError):
                samples.append(system.sample(began, figures, cut))
        time.sleep(0.2)
    return samples, cut_at, cut, back


def _settled(exchange: Exchange, system: System) -> float | None:
    """Stop the market's time; give how many seconds it takes until nothing waits any more."""
    exchange.ask("pause")
    began, quiet = time.monotonic(), 0
    while time.monotonic() < began + _SETTLING:
        with suppress(OSError, ValueError, KeyError):
            figures = system.health("market")["figures"]
            rest = system.metrics("recorder")["tidemill_recorder_holes"]
            idle = not rest and not figures["lag_records soak"] and not figures["lake_waiting_rows"]
            quiet = quiet + 1 if idle else 0
            if quiet >= 5:
                return round(time.monotonic() - began, 1)
        time.sleep(1.0)
    return None


def rows(quick: bool = False) -> list[Row]:
    """Run a short one."""
    plan = Plan(20, 20, 200, 10, 1.0) if quick else Plan(60, 100, 1_000, 50)
    with scratch() as folder:
        return report(soak(plan, folder))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--instruments", type=int, default=500)
    parser.add_argument("--rate", type=float, default=5_000, help="trades a second, of all together")
    parser.add_argument("--connections", type=int, help="about so many; default: one for every two instruments")
    parser.add_argument("--csv", type=Path, default=ROOT / "build" / "soak.csv", help="where the samples go")
    parser.add_argument("--keep", action="store_true", help="keep table and plot in docs")
    chosen = parser.parse_args()
    connections = chosen.connections or -(-chosen.instruments // 2)
    machine = described()
    print(machine)
    with scratch() as folder:
        done = soak(Plan(chosen.minutes * 60, chosen.instruments, chosen.rate, connections), folder)
    found = report(done)
    print(printed(found))
    written(chosen.csv, done.samples)
    plot = DOCS / "soak.svg" if chosen.keep else chosen.csv.with_suffix(".svg")
    if chosen.keep:
        page = DOCS / "benchmarks.md"
        shown = f"{machine}\n\n![{ABOUT}](soak.svg)"
        page.write_text(kept(page.read_text("utf-8"), shown, found, MARKERS), "utf-8")
    # In a process of its own: what was measured is not lost where nothing can draw it.
    subprocess.run([sys.executable, "-m", "benchmarks.soak_plot", chosen.csv, plot], cwd=ROOT, check=True)
    return 0 if all(row.met is not False for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())

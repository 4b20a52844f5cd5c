"""Bad frames among good ones, a second process, a signal, a full disk: nothing stored is lost or changed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("bad_moments")


def test_bad_frames_among_good_ones_go_to_quarantine(stored, tmp_path: Path) -> None:
    bad = [
        *(stored.frame(price, number=n) for n, price in enumerate(("NaN", "0", "-1", "1e5", "1234567890.123456"), 1)),
        *(stored.frame(size=size, number=n) for n, size in enumerate(("0", "NaN", "12345678901234567890"), 6)),
        b"not a frame\n",
        b'1736121600000000000 {"e":"trade"\n',
        b"\x00\xff\xfe\n",
    ]
    good = [stored.frame(number=n) for n in range(100, 400)]
    lines = good[:150] + bad + good[150:]
    path = tmp_path / "mixed.ws"
    path.write_bytes(b"".join(lines))
    data = tmp_path / "data"
    done = stored.tidemill("replay", str(path), "--venue", "binance", "--data", str(data), "--json")
    assert (done.returncode, stored.said(done.stderr)) == (0, "")
    told = json.loads(done.stdout)
    assert (told["records"], told["stored"], told["quarantined"]) == (len(lines), len(good), len(bad))
    found = stored.fingerprint(data)
    assert found["trades"][0] == len(good)
    assert found["unread"] == {"replay-binance": len(bad)}


def test_a_second_process_is_told_who_writes(stored, tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = stored.started(data)
    try:
        second = stored.tidemill("replay", str(stored.recording), "--venue", "binance", "--data", str(data))
        assert (second.returncode, second.stdout) == (1, "")
        assert f"is written by process {first.pid} (replay {stored.recording.name})" in second.stderr
        assert second.stderr.count("\n") == 1
        query = stored.tidemill("sql", "SELECT count(*) FROM trades", "--data", str(data), stdin=subprocess.DEVNULL)
        status = stored.tidemill("status", "--json", "--data", str(data))
        assert (query.returncode, query.stderr, status.returncode, status.stderr) == (0, "", 0, "")
        assert json.loads(status.stdout)["feeds"][0]["journal_offset"] > 0
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
    assert first.returncode == 130
    stored.wait_until_nothing_serves(data)


def test_a_replay_ended_in_the_middle_is_completed_by_the_next(stored, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        process = stored.started(data)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, stored.said(err)) == (code, "", "")
        stored.wait_until_nothing_serves(data)
    done = stored.tidemill("replay", str(stored.recording), "--venue", "binance", "--data", str(data))
    assert (done.returncode, stored.said(done.stderr)) == (0, "")
    assert stored.comparable(data) == stored.comparable(stored.data)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a disk, or change the size of the one that is mounted."""
    mount = shutil.which("mount")
    if mount is None or sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs Linux and root")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting is not permitted here")

    def resized(size: str) -> Path:
        subprocess.run([mount, "-o", f"remount,size={size}", folder], check=True)
        return folder

    yield resized
    subprocess.run(["umount", folder], check=True)


def without_panic(err: str) -> str:
    """Leave out what the dataflow engine's compiled half writes where its own store has no room left.

    A disk that others fill within the hundredth of a second before a snapshot is not noticed in time.
    """
    return err[err.index("tidemill: ") :] if err.startswith("thread '<unnamed>' panicked") else err


def fill(disk: Path, left: int) -> Path:
    """Leave so many bytes on a disk."""
    ballast = disk / "ballast"
    space = os.statvfs(disk)
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - left)
    return ballast


def test_a_full_disk_stops_a_replay_and_loses_nothing(
    stored, small_disk: Callable[[str], Path], tmp_path: Path
) -> None:
    data = small_disk("30m") / "data"
    replay = ["replay", str(stored.recording), "--venue", "binance", "--data", str(data)]
    environ = {**os.environ, "TIDEMILL_JOURNAL__SEGMENT_BYTES": "1000000"}

    def refused(done: "subprocess.CompletedProcess[str]", *codes: int) -> None:
        assert done.returncode in codes
        assert done.stdout == ""
        err = without_panic(stored.said(done.stderr))
        assert err.startswith("tidemill: the disk of the data folder ")
        assert "free some space" in err
        assert err.count("\n") == 1
        stored.wait_until_nothing_serves(data)

    refused(stored.tidemill(*replay, env=environ), 2)
    assert not data.exists() or not list(data.iterdir())
    small_disk("70m")
    refused(stored.tidemill(*replay, env=environ), 1)
    small_disk("400m")
    for left in (20_000_000, 0):
        process = stored.started(data, env=environ)
        ballast = fill(data.parent, left)
        out, err = process.communicate(timeout=60)
        refused(subprocess.CompletedProcess([], process.returncode, out, err), 1)
        refused(stored.tidemill(*replay, env=environ), 2)
        ballast.unlink()
        found = stored.fingerprint(data)
        assert 0 < found["trades"][0] < stored.before["trades"][0]
    done = stored.tidemill(*replay, env=environ)
    assert (done.returncode, stored.said(done.stderr)) == (0, "")
    assert stored.comparable(data) == stored.comparable(stored.data)

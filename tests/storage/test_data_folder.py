import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import Busy, UserError
from storage import data_folder
from storage.data_folder import VERSION, DataFolder

HOLD = """
import sys
from pathlib import Path
from storage.data_folder import DataFolder
with DataFolder(Path(sys.argv[1])).hold("tidemill up"):
    print("held", flush=True)
    sys.stdin.read()
"""


def tree(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


def test_prepare_makes_the_layout_once_and_keeps_what_is_in_it(tmp_path):
    folder = DataFolder(tmp_path / "a" / "data")
    assert not folder.exists
    folder.prepare()
    assert folder.exists
    assert all(p.is_dir() for p in (folder.journal, folder.lake, folder.ledger, folder.recovery))
    (folder.journal / "frames").write_text("kept")
    before = tree(folder.path)
    folder.prepare()
    assert tree(folder.path) == before
    assert (folder.journal / "frames").read_text() == "kept"


def test_naming_a_folder_touches_nothing(tmp_path):
    folder = DataFolder(tmp_path / "data")
    assert folder.ledger == tmp_path / "data" / "ledger"
    assert not folder.exists
    assert tree(tmp_path) == []


@pytest.mark.parametrize("content", ["thesis.txt", "journal/", ".git/"])
def test_a_folder_with_other_content_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / content).mkdir() if content.endswith("/") else (tmp_path / content).write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(UserError, match="not empty"):
        DataFolder(tmp_path).prepare()
    assert tree(tmp_path) == before


def test_a_fresh_volume_is_as_good_as_empty(tmp_path):
    (tmp_path / "lost+found").mkdir()
    DataFolder(tmp_path).prepare()
    assert DataFolder(tmp_path).exists


@pytest.mark.parametrize(("text", "says"), [(str(VERSION + 1), "upgrade Tidemill"), ("x", "backup"), ("", "backup")])
def test_another_version_is_refused_before_anything_changes(tmp_path, text, says):
    (tmp_path / "tidemill.version").write_text(text)
    before = tree(tmp_path)
    with pytest.raises(UserError, match=says):
        DataFolder(tmp_path).prepare()
    assert tree(tmp_path) == before


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(UserError, match="must be a folder"):
        DataFolder(tmp_path / "data").prepare()


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(data_folder, "MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(UserError, match="free some space"):
        DataFolder(tmp_path / "data").prepare()


def test_no_space_in_the_middle_is_said_plainly(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left.*free some space"):
        DataFolder(tmp_path / "data").prepare()
    monkeypatch.undo()
    DataFolder(tmp_path / "data").prepare()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    script = """
import os, sys
from pathlib import Path
from core.errors import UserError
from storage.data_folder import DataFolder
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
try:
    DataFolder(Path(sys.argv[1]) / "data").prepare()
except UserError as error:
    print(error)
"""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    done = subprocess.run([sys.executable, "-c", script, locked], capture_output=True, text=True, check=True)
    assert "Permission denied; make it writable" in done.stdout


def test_one_writer_a_folder_and_the_kernel_frees_it(tmp_path):
    folder = DataFolder(tmp_path / "data")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=rf"process {other.pid} \(tidemill up\): stop that process"), folder.hold():
            pass
        folder.prepare()
        other.kill()
    with folder.hold():
        pass


def test_a_process_cannot_hold_twice(tmp_path):
    folder = DataFolder(tmp_path)
    with folder.hold(), pytest.raises(Busy, match=str(os.getpid())), folder.hold():
        pass

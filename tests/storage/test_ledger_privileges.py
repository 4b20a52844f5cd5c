import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from core.settings import LedgerSettings, Settings
from storage.data_folder import DataFolder
from storage.ledger.server import serve

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop"),
    pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's"),
]
SETTINGS = Settings(ledger=LedgerSettings())
USE_AS_NOBODY = """
import sys
from pathlib import Path
import psycopg
from core.settings import LedgerSettings, Settings
from storage.data_folder import DataFolder
from storage.ledger.privileges import Account, become
from storage.ledger.server import serve
become(Account(65534, 65534), [Path(sys.argv[1]).parent, Path(sys.executable).resolve()])
with serve(Settings(ledger=LedgerSettings()), DataFolder(Path(sys.argv[1]))) as address:
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        print(connection.execute("SELECT 1").fetchone())
"""


def execute(address, statement):
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        return connection.execute(statement).fetchall()


def test_as_root_the_server_is_nobody_even_below_a_private_folder_and_no_folder_is_opened(tmp_path):
    private = tmp_path / "home"
    private.mkdir(mode=0o700)
    folder = DataFolder(private / "data")
    modes = {path: path.stat().st_mode for path in (tmp_path, *tmp_path.parents)}
    with serve(SETTINGS, folder) as address:
        server = json.loads((folder.ledger / "server.json").read_text())
        status = Path(f"/proc/{server['server']}/status").read_text()
        lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert "0" not in lines["Uid"].split()
        assert "0" not in lines["Gid"].split()
        # To read and search, at most to write: no other right of root's is kept.
        assert int(lines["CapEff"], 16) in (1 << 2, 1 << 1)
        assert execute(address, "SELECT 1") == [(1,)]
    assert {path: path.stat().st_mode for path in modes} == modes
    assert private.stat().st_mode & 0o777 == 0o700


def test_a_plain_user_serves_and_root_after_him_leaves_the_folder_his(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    os.chown(mine, 65534, 65534)
    folder = DataFolder(mine / "data")
    for _ in range(2):
        plain = subprocess.run([sys.executable, "-c", USE_AS_NOBODY, folder.path], capture_output=True, text=True)
        assert plain.stdout == "(1,)\n", plain.stderr
        assert (folder.ledger / "pgdata").stat().st_uid == 65534
        with serve(SETTINGS, folder) as address:
            assert execute(address, "SELECT 1") == [(1,)]
    assert all(path.stat().st_uid == 65534 for path in folder.ledger.glob("*"))

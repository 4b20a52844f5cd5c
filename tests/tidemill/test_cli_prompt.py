from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from core.settings import Settings
from tidemill import cli, prompt
from tidemill.query import catalog

pytestmark = pytest.mark.xdist_group("stored")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("SELECT 1;", True), ("SELECT 1", False), ("SELECT 1;\n", True), (".help", True), ("", True), ("a;\nb", False)],
)
def test_enter_ends_a_statement_with_its_semicolon(typed: str, expected: bool) -> None:
    assert prompt.complete(typed) is expected


def test_a_conversation(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = [
        ".tables",
        ".schema signals",
        ".schema ohlcv;",
        ".schema nowhere",
        ".nonsense",
        ".help",
        "SELECT count(*) AS n\r  FROM trades;",
        "SELECT nope FROM trades;",
        "SELECT 'still there' AS x;",
        ".quit",
    ]
    history = tmp_path / "history"
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("".join(line + "\r" for line in typed))
        with catalog(Settings(data=stored)) as connection:
            prompt.converse(connection, history)
    out = capsys.readouterr().out
    assert "ohlcv(instrument, timeframe)" in out
    assert "decided_at" in out
    assert "no view or macro nowhere" in out
    assert "unknown command .nonsense" in out
    assert "Ctrl-D leaves" in out
    assert "\n600\n" in out
    assert "^" in out
    assert "still there" in out
    assert "FROM trades;" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_the_commands_of_the_prompt_that_describe_are_answered_as_a_query_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["sql", ".tables"]) == 0
    assert "ohlcv(instrument, timeframe)" in capsys.readouterr().out
    assert cli.run(["sql", " .schema signals;"]) == 0
    assert "decided_at" in capsys.readouterr().out
    assert cli.run(["sql", ".table"]) == 2
    assert "unknown command '.table': did you mean '.tables'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO trades SELECT * FROM trades",
        "DELETE FROM trades",
        "UPDATE candles SET open = 1",
        "DELETE FROM lake.candles",
        "DROP TABLE lake.trades",
        "DELETE FROM ledger.public.gaps",
        "CREATE TABLE lake.mine (a INT)",
    ],
)
def test_a_write_is_refused_with_what_to_do_instead(
    stored: Path, query: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["sql", "--data", str(stored), query]) == 1
    said = capfd.readouterr().err
    assert said.startswith("tidemill: lake and ledger are read-only here. ")
    assert "COPY (SELECT ...) TO" in said
    assert said.count("\n") == 1


def test_what_is_advised_instead_of_a_write_works(stored: Path, tmp_path: Path) -> None:
    mine = "CREATE TABLE mine AS SELECT * FROM trades; INSERT INTO mine SELECT * FROM mine; SELECT count(*) FROM mine"
    assert cli.run(["sql", "--data", str(stored), mine]) == 0
    assert cli.run(["sql", "--data", str(stored), f"COPY (SELECT 1 AS a) TO '{tmp_path / 'mine.parquet'}'"]) == 0
    assert (tmp_path / "mine.parquet").exists()

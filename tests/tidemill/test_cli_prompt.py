from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from core.settings import Settings
from tidemill import prompt
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

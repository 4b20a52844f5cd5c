import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.errors import IntegrityError, TransientError, UserError
from tidemill import command_line as cli
from tidemill.commands.table import COMMANDS
from tidemill.options import GlobalOptions

TIDEMILL = [sys.executable, "-c", "from tidemill.cli import main; main()"]


def heeding() -> None:
    """Let a child take Ctrl-C even where the tests run in the background, which makes children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_lists_every_command_and_loads_none() -> None:
    code = "import sys; from tidemill.cli import run; run(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    text, _, modules = done.stdout.rpartition("\n[")
    for command in COMMANDS.values():
        assert f"{command.name} " in text
        assert command.summary in text
        assert f"'{command.module}'" not in modules
    for heavy in ("numpy", "pyarrow", "duckdb", "pydantic", "bytewax", "numba"):
        assert f"'{heavy}'" not in modules


@pytest.mark.parametrize("name", ["sql", "status", "migrate"])
def test_a_command_loads_no_dataflow(name: str) -> None:
    code = f"import sys; from tidemill.cli import run; run(['{name}', '--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"'tidemill.commands.{name}'" in done.stdout
    for heavy in ("bytewax", "numba", "prefect", "polars", "prompt_toolkit", "alembic"):
        assert f"'{heavy}'" not in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: tidemill {name}" in text
    assert "--data DIR" in text


def test_no_command_shows_the_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 2
    assert "Commands:" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tidemill 0")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["vnues"], "did you mean 'venues'?"),
        (["venues", "--josn"], "--josn"),
        (["venues", "extra"], "extra"),
        (["--log", "loud", "venues"], "'loud'"),
        (["venues", "--data"], "--data needs a value"),
        (["parse", "binance"], "FILE"),
        (["parse", "binanc", "x"], "did you mean 'binance'?"),
        (["parse", "binance", "nowhere"], "cannot read nowhere"),
    ],
)
def test_a_usage_error_is_one_line_and_code_2(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.startswith("tidemill: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("mend this"), 2),
        (TransientError("later"), 1),
        (IntegrityError("two\nlines"), 1),
        (ZeroDivisionError("oops"), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 0),
    ],
)
def test_every_ending_has_its_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "_load", lambda command: fail)
    assert cli.run(["venues"]) == code
    err = capsys.readouterr().err
    assert err.count("\n") <= 1
    assert "Traceback" not in err
    if isinstance(error, ZeroDivisionError):
        assert "--log debug" in err
        assert cli.run(["venues", "--log", "debug"]) == code
        assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--dat", "x", "plan"], "unknown option '--dat': did you mean '--data'?"),
        (["--dat=x", "plan"], "unknown option '--dat': did you mean '--data'?"),
        (["plan", "--dat", "x"], "No such option: --dat: did you mean --data?"),
        (["status", "--chek"], "No such option: --chek"),
        (["feeds", "ad", "x"], "Invalid value for 'action': 'ad' is not one of 'list', 'add', 'remove'."),
    ],
)
def test_a_misspelt_option_is_named_with_the_nearest(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(argv) == 2
    assert capsys.readouterr().err.startswith(f"tidemill: {said}")


words = st.lists(
    st.sampled_from(["sql", "x", "--json", "--data", "--data=a", "--log", "debug", "--", "-"]), max_size=7
)


@given(words)
def test_hoisting_keeps_every_word_and_the_order_of_the_rest(argv: list[str]) -> None:
    # As an option's value it ends nothing.
    assume(not any(word in ("--data", "--log") and value == "--" for word, value in pairwise(argv)))
    try:
        hoisted = cli._hoist(argv)
    except UserError:
        assert argv[-1] in ("--data", "--log")
        return
    assert sorted(hoisted) == sorted(argv)
    if "--" in hoisted:
        at = argv.index("--") if "--" in argv else len(argv)
        assert [w for w in hoisted if w not in argv[:at]] == [w for w in argv if w not in argv[:at]]


@pytest.mark.parametrize(
    "argv",
    [
        ["--data", "d", "--log=info", "sql", "q"],
        ["sql", "--data", "d", "q", "--log=info"],
        ["sql", "q", "--log=info", "--data", "d"],
    ],
)
def test_global_options_stand_before_and_after(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[GlobalOptions] = []

    def command(ctx: cli.typer.Context, query: str) -> None:
        assert query == "q"
        seen.append(ctx.obj)

    monkeypatch.setattr(cli, "_load", lambda _: command)
    assert cli.run(argv) == 0
    assert (seen[0].data, seen[0].log) == (Path("d"), "info")


def test_a_secret_in_an_unexpected_error_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEMILL_LEDGER__URL", "postgresql://ann:hunter2hunter@db:5432/t")
    configured = cli.load("tidemill.configuration").configured

    def command(ctx: cli.typer.Context) -> None:
        raise RuntimeError(f"cannot reach {configured(ctx).ledger.url.get_secret_value()}, password hunter2hunter")

    monkeypatch.setattr(cli, "_load", lambda _: command)
    assert cli.run(["status", "--log", "debug"]) == 1
    captured = capsys.readouterr()
    assert "[redacted]" in captured.err
    assert "hunter2" not in captured.err + captured.out


def test_sigterm_and_ctrl_c_unwind_the_command(tmp_path: Path) -> None:
    code = (
        "import sys, time, tidemill.command_line as c\n"
        "def wait():\n"
        "    try:\n"
        "        print('ready', flush=True); time.sleep(60)\n"
        "    finally:\n"
        "        print('unwound', flush=True)\n"
        "c._load = lambda _: wait\n"
        "sys.argv = ['tidemill', 'venues']\n"
        "c.main()\n"
    )
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heeding,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (expected, "unwound\n", "")


def test_a_reader_that_leaves_is_no_failure(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.write_bytes(b'{"result":null,"id":1}\n' * 200_000)
    process = subprocess.Popen(
        [*TIDEMILL, "parse", "binance", str(frames)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process.stderr as err:
        assert err.read() == b""
    assert process.wait(30) == 0

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

DROPPED_BY_A_DESTRUCTOR = """
import signal, time
class Dropping:
    def __del__(self):
        signal.raise_signal({number})
def work():
    held = Dropping()
    del held
    time.sleep(20)
"""

DROPPED_BY_AN_EXTENSION = """
import signal
from tidemill import stopping
def work():
    try:
        signal.raise_signal({number})
    except BaseException:
        pass
    stopping.refuse_stopped()
"""

MAIN = """
import sys, types
from tidemill import command_line as cli
command = next(iter(cli.COMMANDS.values()))
cli.load = lambda module: types.SimpleNamespace(**{command.name: work})
sys.argv = ["tidemill", command.name]
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
@pytest.mark.parametrize("work", [DROPPED_BY_A_DESTRUCTOR, DROPPED_BY_AN_EXTENSION])
def test_a_signal_that_python_dropped_ends_the_command_all_the_same(work: str, number: int, code: int) -> None:
    started = f"import signal\nsignal.signal(2, signal.default_int_handler)\n{work.format(number=number)}{MAIN}"
    done = subprocess.run([sys.executable, "-c", started], capture_output=True, text=True, timeout=15)
    assert done.returncode == code
    assert done.stderr == ""


def test_an_error_in_a_destructor_is_still_told() -> None:
    broken = """
class Broken:
    def __del__(self):
        raise ValueError("told")
def work():
    held = Broken()
"""
    done = subprocess.run([sys.executable, "-c", broken + MAIN], capture_output=True, text=True, timeout=15)
    assert done.returncode == 0
    assert "ValueError: told" in done.stderr


STRUCK_WHILE_LOADING = """
import signal, sys
signal.signal({number}, signal.default_int_handler if {number} == 2 else signal.SIG_DFL)
class Striking:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal({number})
sys.meta_path.insert(0, Striking())
sys.argv = ["tidemill", "status", "--data", "nowhere"]
from tidemill.cli import main
main()
"""


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
@pytest.mark.parametrize("module", ["tidemill.command_line", "typer", "core.errors", "tidemill.commands.status"])
def test_a_signal_while_the_program_loads_ends_it_without_a_traceback(module: str, number: int, code: int) -> None:
    struck = STRUCK_WHILE_LOADING.format(module=module, number=number)
    done = subprocess.run([sys.executable, "-c", struck], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_the_program_is_the_same_by_its_name_and_as_a_module() -> None:
    (script,) = entry_points(group="console_scripts", name="tidemill")
    assert script.value == "tidemill.cli:main"
    done = subprocess.run([sys.executable, "-m", "tidemill", "--version"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_entry_loads_nothing_that_takes_long_before_it_listens() -> None:
    code = (
        "import sys; import tidemill.cli; print([m for m in sys.modules if m.startswith(('typer', 'core', 'click'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30).stdout == "[]\n"


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_while_python_tidies_up_is_quiet(number: int) -> None:
    work = f"""
import atexit, signal
signal.signal(2, signal.default_int_handler)
def work():
    atexit.register(signal.raise_signal, {number})
"""
    done = subprocess.run([sys.executable, "-c", work + MAIN], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_while_the_last_words_are_written_is_quiet() -> None:
    work = """
import signal, sys
from core.errors import UserError
signal.signal(2, signal.default_int_handler)
class Struck:
    def write(self, text):
        signal.raise_signal(2)
    def flush(self):
        pass
def work():
    sys.stderr = Struck()
    raise UserError("told")
"""
    done = subprocess.run([sys.executable, "-c", work + MAIN], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (130, "")

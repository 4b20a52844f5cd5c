import subprocess
import sys

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
from tidemill import cli
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

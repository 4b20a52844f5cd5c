import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tidemill.child import Spec, last_line
from tidemill.supervisor import Supervisor

WAITS = """\
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("up", flush=True)
signal.sigwait({signal.SIGTERM})
"""
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(60)"
FAILS = "import sys\nsys.exit('tidemill: the disk is full')"


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., Spec]:
    """Make the spec of a child that runs a text of Python; it finds its lifeline in sys.argv[1]."""

    def make(name: str, body: str, told: bytes = b"", passed: tuple[int, ...] = ()) -> Spec:
        script = tmp_path / f"{name}.py"
        script.write_text(textwrap.dedent(body))
        return Spec(
            name, lambda fd: [sys.executable, "-I", str(script), str(fd)], tmp_path / f"{name}.log", told, passed
        )

    return make


@pytest.fixture
def supervise() -> Iterator[Callable[..., Supervisor]]:
    started = []

    def start(*specs: Spec) -> Supervisor:
        started.append(Supervisor(specs))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.hurry()
        one.stop()


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


def logged(spec: Spec, line: str) -> Callable[[], bool]:
    return lambda: spec.log.exists() and line in spec.log.read_text()


def test_a_child_that_is_killed_is_started_again_and_how_it_ended_is_kept(spec, supervise) -> None:
    one = spec("one", WAITS)
    supervisor = supervise(one)
    until(logged(one, "up"))
    first = supervisor.children()[0]
    assert (first.state, first.restarts, first.exits) == ("running", 0, ())
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: supervisor.children()[0].pid not in (None, first.pid))
    second = supervisor.children()[0]
    assert (second.state, second.restarts) == ("running", 1)
    assert [(end.code, end.signal) for end in second.exits] == [(None, "SIGKILL")]
    assert "one ended by SIGKILL" in supervisor.events()[0].text
    assert supervisor.health().figures == {"one_restarts": 1}


def test_a_crash_loop_is_told_with_the_last_line_of_the_log(spec, supervise) -> None:
    fails, works = spec("fails", FAILS), spec("works", WAITS)
    supervisor = supervise(fails, works)
    until(lambda: supervisor.children()[0].looping)
    child, other = supervisor.children()
    assert child.restarts >= 4
    assert {(end.code, end.signal, end.said) for end in child.exits} == {(1, None, "the disk is full")}
    assert (other.state, other.restarts, other.looping) == ("running", 0, False)
    health = supervisor.health()
    assert health.state == "degraded"
    assert "fails is in a crash loop: ended with exit code 1: the disk is full" in health.why[0]
    assert [event.text for event in supervisor.events() if "is in a crash loop" in event.text] == [
        f"fails is in a crash loop: see {fails.log}"
    ]


def test_children_stop_in_reverse_order_each_before_the_next(tmp_path: Path, spec, supervise) -> None:
    order = tmp_path / "order"
    body = WAITS + f"import time\ntime.sleep(0.2)\nopen({str(order)!r}, 'a').write(sys.argv[0][-4] + ' ')"
    specs = [spec(name, body) for name in ("a", "b", "c")]
    supervisor = supervise(*specs)
    for one in specs:
        until(logged(one, "up"))
    supervisor.stop()
    assert order.read_text() == "c b a "
    assert [child.state for child in supervisor.children()] == ["stopped"] * 3
    assert supervisor.events() == []


def test_a_child_that_does_not_stop_is_killed(spec, supervise) -> None:
    deaf = spec("deaf", DEAF)
    supervisor = supervise(deaf)
    until(logged(deaf, "deaf"))
    pid = supervisor.children()[0].pid
    supervisor.stop(patience=0.3)
    assert gone(pid)
    assert [event.text for event in supervisor.events()] == ["deaf does not stop within 0 s: it is killed"]


def test_in_a_hurry_nothing_is_waited_for(spec, supervise) -> None:
    deaf = spec("deaf", DEAF)
    supervisor = supervise(deaf)
    until(logged(deaf, "deaf"))
    pid = supervisor.children()[0].pid
    stopping = threading.Thread(target=supervisor.stop, args=(3600.0,))
    stopping.start()
    supervisor.hurry()
    stopping.join(20)
    assert not stopping.is_alive()
    assert gone(pid)


def test_a_child_that_waits_to_be_started_again_is_not_started_after_the_stop(spec, supervise) -> None:
    supervisor = supervise(spec("fails", FAILS))
    until(lambda: supervisor.children()[0].restarts >= 2)
    supervisor.stop()
    starts = supervisor.children()[0].restarts
    time.sleep(0.5)
    assert (supervisor.children()[0].state, supervisor.children()[0].restarts) == ("stopped", starts)


def test_a_program_that_is_not_there_is_told_and_tried_again(tmp_path: Path, supervise) -> None:
    missing = Spec("missing", lambda fd: [str(tmp_path / "nowhere")], tmp_path / "missing.log", b"")
    supervisor = supervise(missing)
    until(lambda: supervisor.children()[0].restarts >= 1)
    assert "missing cannot be started: No such file or directory" in supervisor.events()[0].text


def test_a_child_gets_what_it_is_told_and_the_descriptors_it_is_passed_and_no_others(
    tmp_path: Path, spec, supervise
) -> None:
    kept = (tmp_path / "kept").open("wb")
    other = (tmp_path / "other").open("wb")
    body = """
        import os, sys
        told = os.read(int(sys.argv[1]), 100_000)
        os.write({passed}, told)
        held = [n for n in range(3, 256) if os.path.exists(f"/dev/fd/{{n}}")]
        print("held", {other} in held, os.getsid(0) == os.getpid(), flush=True)
        os.read(int(sys.argv[1]), 1)
    """
    with kept, other:
        one = spec("one", body.format(passed=kept.fileno(), other=other.fileno()), b"secret line\n", (kept.fileno(),))
        supervise(one)
        until(logged(one, "held"))
    assert (tmp_path / "kept").read_bytes() == b"secret line\n"
    assert one.log.read_text().strip() == "held False True"
    assert "secret" not in repr(one)


def test_more_than_a_pipe_holds_is_told_whole(tmp_path: Path, spec, supervise) -> None:
    body = """
        import os, sys
        got = b""
        while not got.endswith(b"\\n"):
            got += os.read(int(sys.argv[1]), 1000)
        print(len(got), flush=True)
        os.read(int(sys.argv[1]), 1)
    """
    one = spec("one", body, b"x" * 500_000 + b"\n")
    supervise(one)
    until(logged(one, "500001"))


def test_a_log_that_has_grown_is_put_aside_at_the_next_start(spec, supervise) -> None:
    one = spec("one", WAITS)
    one.log.write_bytes(b"old\n" * 3_000_000)
    supervise(one)
    until(logged(one, "up"))
    assert one.log.with_name("one.log.1").stat().st_size == 12_000_000
    assert one.log.stat().st_size < 100


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", ""),
        (b"first\n\n", "first"),
        (b"tidemill: port 1 is in use\n", "port 1 is in use"),
        (b'{"event": "stopped", "level": "info"}\n', "stopped"),
        (b"\x1b[31mred\xff\n", " [31mred�"),
        (b"x" * 100_000, "x" * 300),
    ],
)
def test_the_last_line_of_a_log_is_one_that_can_be_shown(tmp_path: Path, content: bytes, line: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    assert last_line(log) == line
    assert last_line(tmp_path / "none") == ""

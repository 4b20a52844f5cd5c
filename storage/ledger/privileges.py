"""Run a program without root's rights, ended by the kernel when its parent dies.

PostgreSQL refuses to run as root. As root it is started as the owner of its data folder, `nobody` at first.
That user often cannot reach the folders: a private home, a temporary folder. Instead of opening anybody's
folder, the child keeps one capability across the change of user: to read and search everywhere
(CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE where a container grants only that). Source of the rules:
capabilities(7), prctl(2), access(2).

The standard library only: the guardian starts without site-packages.
"""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2

CANNOT_REACH = 78
"""Exit code of a child that could neither reach its folders nor keep the capability to (EX_CONFIG)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Name the user and the group that a child runs as."""

    uid: int
    gid: int


def unprivileged(owner_of: Path) -> Account | None:
    """Give the account for a child: None (our own) unless we are root.

    As root it is the owner of ``owner_of`` where that exists and is not root's, else ``nobody``.
    """
    if os.geteuid() != 0:
        return None
    if owner_of.exists():
        owner = owner_of.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
        return Account(nobody.pw_uid, nobody.pw_gid)
    except KeyError:
        return Account(65534, 65534)


def spawn(
    argv: Sequence[str], account: Account | None, needs: Sequence[Path], environ: Mapping[str, str], stdin: int = -1
) -> int:
    """Start a program as an account and give its pid; ``needs`` are the paths that it must reach.

    Call it from a process with one thread, and wait in that thread: on Linux the child gets SIGINT when it
    ends. ``stdin`` is a descriptor to read from. The child exits with `CANNOT_REACH`, or 127 where the
    program cannot be run, and says why on its standard error.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _run(argv, account, needs, environ, stdin, parent)
    return pid


def _run(
    argv: Sequence[str],
    account: Account | None,
    needs: Sequence[Path],
    environ: Mapping[str, str],
    stdin: int,
    parent: int,
) -> NoReturn:
    try:
        if stdin >= 0:
            os.dup2(stdin, 0)
        if account is not None:
            become(account, needs)
        _end_with(parent)
        os.execve(argv[0], list(argv), dict(environ))  # noqa: S606 - no shell is wanted
    except PermissionError as error:
        os.write(2, f"cannot run {argv[0]}: {error.strerror}\n".encode())
        os._exit(CANNOT_REACH)
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into the parent's code
        os.write(2, f"cannot run {argv[0]}: {error}\n".encode())
        os._exit(127)


def become(account: Account, needs: Sequence[Path]) -> None:
    """Turn this process into another account for good, still able to reach ``needs``.

    Raise `PermissionError` where they are out of reach and the kernel does not let the capability be kept.
    """
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    if _reachable(account, needs):
        os.setresuid(account.uid, account.uid, account.uid)
    else:
        _become_with_capability(account)


def _reachable(account: Account, needs: Sequence[Path]) -> bool:
    os.seteuid(account.uid)
    try:
        return all(os.access(path, os.R_OK | os.X_OK, effective_ids=True) for path in needs)
    finally:
        os.seteuid(0)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _become_with_capability(account: Account) -> None:
    if sys.platform != "linux":
        raise PermissionError(1, "the data folder is out of the reach of the server's user")
    libc = ctypes.CDLL(None, use_errno=True)
    header = _Header(_CAPABILITY_VERSION_3, 0)
    sets = (_Set * 2)()
    _checked(libc.capget(ctypes.byref(header), sets))
    held = sets[0].permitted
    capability = _CAP_DAC_READ_SEARCH if held >> _CAP_DAC_READ_SEARCH & 1 else _CAP_DAC_OVERRIDE
    # Without this bit access(2) ignores capabilities of users other than root, and PostgreSQL asks access(2)
    # whether it may run its own binaries.
    _checked(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setresuid(account.uid, account.uid, account.uid)
    mask = 1 << capability
    sets[0] = _Set(mask, mask, mask)
    sets[1] = _Set(0, 0, 0)
    _checked(libc.capset(ctypes.byref(header), sets))
    _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def _checked(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise PermissionError(code, os.strerror(code))


def _end_with(parent: int) -> None:
    if sys.platform != "linux":
        return
    # After the change of user, which clears it; SIGINT is PostgreSQL's fast shutdown.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)

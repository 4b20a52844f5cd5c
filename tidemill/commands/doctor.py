"""tidemill doctor: is this machine fit, and if not, what next."""

import sys
from dataclasses import asdict
from typing import Annotated

import msgspec
import typer

from core.settings import Settings
from tidemill.configuration import configured
from tidemill.health import Check, checks


def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array, for scripts.")] = False,
) -> None:
    """Check this machine, the settings and the data folder; nothing is changed.

    Each line says ok, warn or fail, and what to do. The exit code is 1 where something failed.

    Example: tidemill doctor
    """

    def load_settings() -> Settings:
        return configured(ctx)

    found: list[Check] = []
    for check in checks(load_settings):
        found.append(check)
        if not as_json:
            sys.stdout.write(f"{check.verdict:<4}  {check.name}: {check.found}\n")
            if check.advice:
                sys.stdout.write(f"      next: {check.advice}\n")
            sys.stdout.flush()
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode([asdict(check) for check in found]) + b"\n")
    if any(check.verdict == "fail" for check in found):
        raise typer.Exit(1)

"""tidemill migrate: the data folder brought to the schema of this version."""

import sys
from typing import Annotated

import msgspec
import typer

from core.errors import TidemillError
from storage.data_folder import DataFolder, lake_path
from storage.lake import connect, create
from storage.ledger.schema import migrate as apply
from storage.ledger.schema import pending
from storage.ledger.server import serve
from tidemill.configuration import configured
from tidemill.folder import existing


def migrate(
    ctx: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 where something is to do.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Bring the data folder to the schema of this version; running it again changes nothing.

    Example: tidemill migrate --check
    """
    settings = configured(ctx)
    if check:
        with serve(settings, existing(settings.data)) as address:
            todo = pending(address)
        _print({"pending": todo}, as_json)
        if todo:
            raise TidemillError(f"{len(todo)} migrations are to do: run `tidemill migrate`")
        return
    folder = DataFolder(settings.data)
    with folder.hold("migrate"), serve(settings, folder) as address:
        applied = apply(address)
        lake = connect(address, lake_path(settings, folder), read_only=False)
        try:
            create(lake)
        finally:
            lake.close()
    _print({"applied": applied}, as_json)


def _print(lists: dict[str, list[str]], as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(lists) + b"\n")
        return
    for name, revisions in lists.items():
        lines = [f"{name} {revision}" for revision in revisions] or [f"nothing {name}: the schema is up to date"]
        sys.stdout.write("\n".join(lines) + "\n")

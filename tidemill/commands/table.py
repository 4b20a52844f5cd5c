"""The table of commands: each module is loaded only when its command is called.

So `tidemill sql` does not pay for what a dataflow or a scheduler imports.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    """Name a command: its module holds a function of the same name."""

    name: str
    summary: str

    @property
    def module(self) -> str:
        """Give the module that holds the command."""
        return f"tidemill.commands.{self.name}"


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("up", "Run the whole system and watch it."),
        Command("run", "Run one component alone, for a service manager."),
        Command("replay", "Send recordings through the live path into the lake."),
        Command("parse", "Print the records that frames of a venue hold, as JSON lines."),
        Command("sql", "Ask the lake and the ledger in SQL."),
        Command("status", "Show what runs and how it is, what is stored, what is not proven."),
        Command("record", "Record feeds into the journal, and nothing else."),
        Command("simulate", "Serve an exchange on this machine: an invented market, or files."),
        Command("feeds", "List, add and remove what the running system records."),
        Command("repair", "Fetch from the venues what is missing in the past."),
        Command("plan", "Compare the settings with the running system: what would change."),
        Command("doctor", "Check this machine, the settings and the data folder."),
        Command("migrate", "Bring the data folder to the schema of this version."),
        Command("venues", "List the venues, their channels and their limits."),
    )
}


def load(module: str) -> Any:
    """Import a module at the moment it is needed: a command, or the part of one that most calls do without."""
    return import_module(module)

"""The strategies of the settings, refused before anything starts where they cannot run."""

from core.errors import UserError
from core.settings import Settings
from strategies.registry import strategy


def refuse_unknown(settings: Settings) -> None:
    """Raise `UserError` naming the setting where a strategy or a parameter of it is not known or out of bounds."""
    for place, placed in enumerate(settings.strategies):
        try:
            strategy(placed.name, placed.params)
        except UserError as error:
            raise UserError(f"setting 'strategies.{place}': {error}") from None

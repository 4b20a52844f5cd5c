"""The settings of one call: read once, at the edge, by the command that needs them."""

import sys

import typer

from core.settings import Settings, load
from tidemill.commands.table import load as load_module
from tidemill.options import GlobalOptions
from tidemill.redaction import Redaction


def configured(ctx: typer.Context) -> Settings:
    """Read the settings and set the logs up; raise `UserError` where a setting cannot be used."""
    options: GlobalOptions = ctx.obj
    return adopted(options, load(options.config, options.data))


def adopted(options: GlobalOptions, settings: Settings) -> Settings:
    """Set logs and redaction up for settings, however they came here."""
    level = options.log or settings.log
    redaction = Redaction.of(settings)
    options.debugging = level == "debug"
    options.redact = redaction.text
    if "structlog" in sys.modules:
        # Loading it costs a tenth of what a query may take; a command that has not loaded it does not log.
        load_module("tidemill.logs").configure(level, redaction)
    return settings

"""The settings of one call: read once, at the edge, by the command that needs them."""

import typer

from core.settings import Settings, load
from tidemill.logs import Redaction, configure
from tidemill.options import GlobalOptions


def configured(ctx: typer.Context) -> Settings:
    """Read the settings and set the logs up; raise `UserError` where a setting cannot be used."""
    options: GlobalOptions = ctx.obj
    settings = load(options.config, options.data)
    level = options.log or settings.log
    redaction = Redaction.of(settings)
    configure(level, redaction)
    options.debugging = level == "debug"
    options.redact = redaction.text
    return settings

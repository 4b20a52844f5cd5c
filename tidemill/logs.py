"""Logs: structured, on stderr, JSON where no person watches, never with a secret."""

import logging
import sys

import structlog

from tidemill.redaction import Redaction


def configure(level: str, redaction: Redaction) -> None:
    """Send structlog to stderr from ``level`` (debug, info, warning, error) on; UTC times."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redaction,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # Looks sys.stderr up at each line: a progress bar may have taken its place meanwhile.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )

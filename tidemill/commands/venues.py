"""tidemill venues: what can be recorded, and within which limits."""

import sys
from typing import Annotated, Any

import msgspec
import typer

from core.errors import UnknownName
from exchanges.registry import OTHERS, VENUES
from exchanges.venue import Venue
from tidemill.tables import table

_KLINE = "kline_"
_TIMEFRAMES = "1s 1m 3m 5m 10m 15m 30m 1h 2h 3h 4h 6h 8h 12h 1d 3d 5d 1w 1M 1y"
_CHANNELS = ("trade", "aggregate", "quote", "mark_price", *(_KLINE + name for name in _TIMEFRAMES.split()))
"""All that some venue has."""


def venues(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array, for scripts.")] = False,
) -> None:
    """List the venues, their channels and their limits.

    Under kline_... stand the timeframes of candles: 1m is the channel kline_1m.

    Example: tidemill venues --json
    """
    rows = [_row(name) for name in sorted(VENUES)]
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(rows) + b"\n")
        return
    columns = ("venue", "exchange", "channels", f"{_KLINE}...", "limits", "heartbeat")
    sys.stdout.write(table(columns, (_line(VENUES[row["name"]], row) for row in rows)) + "\n")
    sys.stdout.write(f"and {OTHERS}: trades of any exchange that ccxt can watch, for example ccxt-kraken\n")


def _line(venue: Venue, row: dict[str, Any]) -> tuple[str, ...]:
    limits, beat = venue.limits, venue.heartbeat
    return (
        venue.name,
        venue.exchange,
        " ".join(channel for channel in row["channels"] if not channel.startswith(_KLINE)),
        " ".join(channel.removeprefix(_KLINE) for channel in row["channels"] if channel.startswith(_KLINE)),
        f"{limits.streams} streams, {limits.messages}/{limits.messages_per:g} s, cut at {limits.lifetime / 3600:g} h",
        f"{beat.by} each {beat.interval:g} s, dead after {beat.timeout:g} s",
    )


def _row(name: str) -> dict[str, Any]:
    venue = VENUES[name]
    return {
        "name": name,
        "exchange": venue.exchange,
        "channels": _channels(venue),
        "limits": venue.limits,
        "heartbeat": venue.heartbeat,
        "websocket_url": venue.websocket_url,
    }


def _channels(venue: Venue) -> list[str]:
    return [channel for channel in _CHANNELS if _carries(venue, channel)]


def _carries(venue: Venue, channel: str) -> bool:
    try:
        venue.subscriptions([], [channel])
    except UnknownName:
        return False
    return True

"""A market as ccxt describes it, as far as an instrument needs it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ccxt import DECIMAL_PLACES, TICK_SIZE

from exchanges.ccxt_answers import Market


def is_traded(market: Mapping[str, Any]) -> bool:
    """Tell whether a market trades now, as far as ccxt knows."""
    return market.get("active") is not False


def described(market: Mapping[str, Any], precision_mode: int) -> Market:
    """Give what is told of a market; ``precision_mode`` says what the exchange's precisions mean.

    Significant digits are no step: then none is told.
    """
    precision = market.get("precision") or {}
    tick, lot = (_step(precision.get(name), precision_mode) for name in ("price", "amount"))
    return Market(str(market.get("symbol")), tick, lot, plain(market.get("contractSize")) or "")


def plain(number: object) -> str | None:
    """Give a number as plain decimal text, None for none."""
    try:
        return None if number is None else format(Decimal(str(number)), "f")
    except InvalidOperation:
        return None


def _step(precision: object, mode: int) -> str:
    text = plain(precision)
    if text is None or mode not in (TICK_SIZE, DECIMAL_PLACES):
        return ""
    return text if mode == TICK_SIZE else format(Decimal(1).scaleb(-int(Decimal(text))), "f")

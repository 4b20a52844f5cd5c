"""What the amounts are that ccxt gives of contracts, where they are not contracts of the size that it names.

Source: ``parse_trade`` and ``parse_ws_trade`` of ccxt 4.5.90, and what is noted beside each.
"""

from decimal import Decimal
from typing import Literal, TypeAlias

from core.instruments import SizeUnit

Kind: TypeAlias = Literal["spot", "linear", "inverse", "quanto"]

_UNITS: dict[str, dict[Kind, SizeUnit]] = {
    # The venue's amount as it is: docs.deribit.com, public/get_last_trades_by_instrument, "amount": USD where a
    # contract is inverse, the base asset where it is linear. ccxt's contract size is the venue's contract_size.
    "deribit": {"linear": "base", "inverse": "quote"},
    # The same interface. Only with a key of Deribit's, which is never given here, ccxt makes contracts of amounts.
    "coinbaseinternational": {"linear": "base"},
    # ccxt's contract size is the smallest order: bybit-exchange.github.io, "trade", v: USD where inverse.
    "bybit": {"inverse": "quote"},
    "bybitid": {"inverse": "quote"},
    # ccxt's contract size is the smallest order; trades of 0.261 BTC.
    "apex": {"linear": "base"},
    # ccxt's contract size is the step of the price, or none.
    "gemini": {"linear": "base"},
    # ccxt's contract size is what prices and sizes are scaled with as whole numbers; usd_amount is size times price.
    "lighter": {"linear": "base"},
    # Contracts of 0.001, smallest order 0.001, and the value of a trade is its quantity times its price.
    "weex": {"linear": "base"},
    # ccxt has multiplied contracts with the contract size.
    "bitrue": {"linear": "base", "inverse": "quote"},
    "xt": {"linear": "base", "inverse": "quote"},
}
_MULTIPLIED = ("bitrue", "xt")


def sizes(
    exchange_id: str, kind: Kind, lot: Decimal | None, contract: Decimal
) -> tuple[Decimal | None, Decimal, SizeUnit]:
    """Give lot, multiplier and unit of the sizes of a market; ``contract`` is what ccxt calls its contract size.

    Of spot the unit is the base asset; of contracts that are not known better it is contracts, which is ccxt's word.
    """
    if kind == "spot":
        return lot, Decimal(1), "base"
    unit = _UNITS.get(exchange_id, {}).get(kind)
    if unit is None:
        return lot, contract, "contracts"
    # There the lot is still told in contracts.
    return lot * contract if lot is not None and exchange_id in _MULTIPLIED else lot, Decimal(1), unit

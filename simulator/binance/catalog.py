"""``exchangeInfo``: what the exchange trades, and by which rules.

Source: binance/binance-spot-api-docs rest-api.md, "Exchange information" and filters.md; USD-M likewise.
"""

from typing import Any

from simulator.binance.market import Market, decimals
from simulator.binance.query import Query

_ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]
_FUTURES_ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"]
_NO_EXPIRY = 4_133_404_800_000
"""The delivery date of a perpetual: the year 2100."""


def exchange_info(query: Query) -> dict[str, Any]:
    """Answer ``exchangeInfo``."""
    markets, _ = query.markets()
    for name in ("permissions", "showPermissionSets", "symbolStatus"):
        query.text(name)
    weight = query.exchange.rules.of(query.futures).weight
    answer: dict[str, Any] = {
        "timezone": "UTC",
        "serverTime": query.told(query.now + query.exchange.skew),
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        ],
        "exchangeFilters": [],
    }
    if not query.futures:
        raw = {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61_000}
        answer["rateLimits"].append(raw)
        return answer | {"symbols": [_spot(market) for market in markets]}
    assets = dict.fromkeys(market.instrument.quote for market in markets)
    margins = [{"asset": asset, "marginAvailable": True, "autoAssetExchange": "-10000"} for asset in assets]
    onboard = query.told(query.exchange.tape.start)
    futures = [_futures(market, onboard) for market in markets]
    return answer | {"futuresType": "U_MARGINED", "assets": margins, "symbols": futures}


def _spot(market: Market) -> dict[str, Any]:
    return {
        "symbol": market.symbol,
        "status": "TRADING",
        "baseAsset": market.instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            *_steps(market),
            {"filterType": "ICEBERG_PARTS", "limit": 10},
            {
                "filterType": "NOTIONAL",
                "minNotional": "5.00000000",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _futures(market: Market, onboard: int) -> dict[str, Any]:
    return {
        "symbol": market.symbol,
        "pair": market.instrument.base + market.instrument.quote,
        "contractType": "PERPETUAL" if market.instrument.expiry == "PERP" else "CURRENT_QUARTER",
        "deliveryDate": _NO_EXPIRY,
        "onboardDate": onboard,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": market.instrument.base,
        "quoteAsset": market.instrument.quote,
        "marginAsset": market.instrument.quote,
        "pricePrecision": decimals(market.tick),
        "quantityPrecision": decimals(market.lot),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.015000",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": [
            *_steps(market),
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
        "orderTypes": _FUTURES_ORDER_TYPES,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _steps(market: Market) -> list[dict[str, Any]]:
    tick, lot = market.price(market.tick), market.size(market.lot)
    most, many = market.price(market.tick * 10**8), market.size(market.lot * 10**9)
    sizes = {"minQty": lot, "maxQty": many, "stepSize": lot}
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": most, "tickSize": tick},
        {"filterType": "LOT_SIZE", **sizes},
        {"filterType": "MARKET_LOT_SIZE", **sizes},
    ]

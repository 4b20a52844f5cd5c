"""What a size is: what ccxt makes of the venue's own rows, beside what the instrument says of it."""

import asyncio
import json
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from core.instruments import Instrument
from exchanges import ccxt_symbols, history
from exchanges.budgets import Budgets
from exchanges.ccxt_exchange import opened
from exchanges.ccxt_frames import Rows
from exchanges.clients import rest_of
from exchanges.registry import venue

MS = 1_700_000_000_123
TERMS = {
    "kind": "future",
    "settlement_period": "perpetual",
    "is_active": True,
    "expiration_timestamp": 32_503_708_800_000,
    "creation_timestamp": 1_534_242_287_000,
    "base_currency": "BTC",
    "taker_commission": 0.0005,
    "maker_commission": 0.0,
}
USD = {"quote_currency": "USD", "counter_currency": "USD", "settlement_currency": "BTC"}
USDC = {"quote_currency": "USDC", "counter_currency": "USDC", "settlement_currency": "USDC"}
PERPETUALS = [
    {"instrument_name": "BTC-PERPETUAL", "instrument_type": "reversed", "price_index": "btc_usd", "tick_size": 0.5}
    | {"contract_size": 10.0, "min_trade_amount": 10.0, **USD, **TERMS},
    {
        "instrument_name": "BTC_USDC-PERPETUAL",
        "instrument_type": "linear",
        "price_index": "btc_usdc",
        "tick_size": 1.0,
    }
    | {"contract_size": 0.0001, "min_trade_amount": 0.0001, **USDC, **TERMS},
]
AMOUNTS = {"BTC-PERPETUAL": 580.0, "BTC_USDC-PERPETUAL": 0.049}


def deribit(path):
    parts = urlsplit(path)
    if parts.path.endswith("get_currencies"):
        return [{"currency": "BTC"}]
    if parts.path.endswith("get_instruments"):
        return PERPETUALS
    (name,) = parse_qs(parts.query)["instrument_name"]
    trade = {"trade_seq": 1, "trade_id": "7", "timestamp": MS, "price": 21_026.0, "direction": "buy"}
    return {"trades": [{**trade, "instrument_name": name, "amount": AMOUNTS[name]}], "has_more": False}


def test_sizes_of_deribit_are_the_venues_own_amounts(raw_server):
    async def handler(head, reader, writer):
        body = json.dumps({"jsonrpc": "2.0", "result": deribit(head.split()[1].decode())}).encode()
        lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)

    async def run():
        async with raw_server(handler) as port:
            market = venue("ccxt-deribit", rest_url=f"http://127.0.0.1:{port}")
            rest = rest_of(market, budgets=Budgets())
            try:
                listed = {one.name: one for one in await history.instruments(rest, market)}
                pages = {name: await history.latest(rest, market, one, "execution") for name, one in listed.items()}
            finally:
                await rest.close()
        inverse, linear = listed["deribit:BTC-USD-PERP"], listed["deribit:BTC-USDC-PERP"]
        assert (inverse.size_unit, inverse.multiplier, inverse.lot) == ("quote", 1, 10)
        assert (linear.size_unit, linear.multiplier, linear.lot) == ("base", 1, Decimal("0.0001"))
        assert pages[inverse.name].size.tolist() == [580.0]
        assert pages[linear.name].size.tolist() == [0.049]

    asyncio.run(run())


def market_of(exchange, symbol, identifier):
    told = ccxt_symbols.parts(symbol)
    terms = {"id": identifier, "symbol": symbol, "base": told.base, "quote": told.quote, "settle": told.settle}
    kind = {
        "linear": told.kind == "linear",
        "inverse": told.kind == "inverse",
        "contractSize": exchange.parse_number("0.01"),
    }
    flags = {"type": "swap", "swap": True, "contract": True, "spot": False, "option": False, "future": False}
    exchange.set_markets([exchange.safe_market_structure({**terms, **kind, **flags})])
    return exchange.market(symbol)


LINEAR, INVERSE = "BTC/USDT:USDT", "BTC/USD:BTC"


@pytest.mark.parametrize(
    ("exchange_id", "symbol", "way", "row", "amount", "unit"),
    [
        ("deribit", INVERSE, "", {"amount": 580.0}, "580.0", "quote"),
        ("deribit", "BTC/USDC:USDC", "", {"amount": 0.049}, "0.049", "base"),
        ("coinbaseinternational", "BTC/USDC:USDC", "", {"amount": 0.03}, "0.03", "base"),
        ("bybit", INVERSE, "", {"size": "37"}, "37", "quote"),
        ("bybit", INVERSE, "ws", {"v": "37", "BT": False}, "37", "quote"),
        ("apex", LINEAR, "", {"v": "0.261"}, "0.261", "base"),
        ("apex", LINEAR, "ws", {"v": "0.261"}, "0.261", "base"),
        ("gemini", LINEAR, "", {"amount": "0.00996"}, "0.00996", "base"),
        ("gemini", LINEAR, "ws", {"quantity": "0.00996"}, "0.00996", "base"),
        ("lighter", LINEAR, "", {"size": "10.2304"}, "10.2304", "base"),
        ("lighter", LINEAR, "ws", {"size": "10.2304"}, "10.2304", "base"),
        ("weex", LINEAR, "", {"qty": "7.214"}, "7.214", "base"),
        ("weex", LINEAR, "ws", {"q": "7.214"}, "7.214", "base"),
        ("xt", LINEAR, "", {"a": "1067"}, "10.67", "base"),
        ("xt", INVERSE, "", {"a": "1067"}, "10.67", "quote"),
        ("bitrue", LINEAR, "ws", {"vol": "1067"}, "10.67", "base"),
        ("okx", LINEAR, "", {"sz": "1067"}, "1067", "contracts"),
        ("gate", LINEAR, "", {"size": "-1067"}, "1067", "contracts"),
        ("binance", INVERSE, "ws", {"q": "1067"}, "1067", "contracts"),
    ],
)
def test_what_ccxt_makes_of_an_amount_is_what_the_instrument_says(exchange_id, symbol, way, row, amount, unit):
    exchange = opened(exchange_id, None, None)
    market = market_of(exchange, symbol, "X")
    trade = {"price": "2", "p": "2", "timestamp": MS, "ts": MS, "T": MS, "t": MS, **row}
    told = getattr(exchange, f"parse_{'ws_' if way else ''}trade")(trade, market)
    assert Decimal(Rows().row(told)["amount"]) == Decimal(amount)
    one = ccxt_symbols.instrument(exchange_id, symbol, None, Decimal(1), Decimal("0.01"))
    assert one.size_unit == unit
    assert one.multiplier == (Decimal("0.01") if unit == "contracts" else 1)
    assert one.lot == (Decimal("0.01") if exchange_id in ("xt", "bitrue") else 1)


def test_spot_and_what_is_known_of_frames_alone():
    assert ccxt_symbols.instrument("deribit", "BTC/USDC", multiplier=Decimal(7)).size_unit == "base"
    assert ccxt_symbols.instrument("deribit", INVERSE) == Instrument(
        "deribit", "BTC", "USD", "PERP", INVERSE, size_unit="quote"
    )
    # Paid in a third asset: nothing better is known than ccxt's word.
    assert ccxt_symbols.instrument("deribit", "BTC/USD:ETH", multiplier=Decimal(7)).multiplier == 7

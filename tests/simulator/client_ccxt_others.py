"""A client: ccxt's own classes, configured by addresses only. `client_ccxt_others.py PORT VENUE`, JSON out."""

import asyncio
import json
import sys

import ccxt
import ccxt.pro

SYMBOLS = {
    "deribit": ["BTC/USDT", "ETH/USDT:USDT", "SOL/USD:SOL"],
    "bitget": ["BTC/USDT", "ETH/USDT:USDT"],
    "upbit": ["BTC/USDT"],
}
WATCHED_CANDLES = {"deribit": "1m", "bitget": "1m", "upbit": "1s"}
PARTS = ("spot", "mix", "common", "margin")


def configuration(name: str, port: str) -> dict:
    rest, websocket = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    api = {
        "deribit": {"rest": rest, "ws": f"{websocket}/ws/api/v2"},
        "bitget": {**dict.fromkeys(PARTS, rest), "ws": {"public": f"{websocket}/v2/ws/public"}},
        "upbit": {"public": rest, "ws": f"{websocket}/websocket/v1"},
    }
    return {"urls": {"api": api[name]}}


def row(one: dict) -> list:
    # Deribit's own id has a prefix; its trade_seq counts.
    number = one["info"].get("trade_seq") or one["id"]
    return [int(number), one["timestamp"], one["price"], one["amount"], one["side"]]


def history(name: str, port: str, now: int) -> dict:
    """Load markets, and fetch the newest trades and candles of each symbol."""
    exchange = getattr(ccxt, name)(configuration(name, port))
    markets = exchange.load_markets()
    told = {}
    for symbol in SYMBOLS[name]:
        market = markets[symbol]
        told[symbol] = {
            "precision": [market["precision"]["price"], market["precision"]["amount"]],
            "kind": [market["spot"], market["swap"], market["linear"]],
            "trades": [row(one) for one in exchange.fetch_trades(symbol, limit=200)],
            "candles": exchange.fetch_ohlcv(symbol, "1m", since=now - 300_000, limit=5),
        }
    time = exchange.fetch_time() if exchange.has["fetchTime"] else None
    return {"symbols": sorted(markets), "told": told, "time": time}


async def watched(name: str, port: str) -> dict:
    """Watch trades and candles of each symbol for a while."""
    exchange = getattr(ccxt.pro, name)(configuration(name, port))
    told = {}
    try:
        for symbol in SYMBOLS[name]:
            trades: dict = {}
            while len(trades) < 60:
                for one in await asyncio.wait_for(exchange.watch_trades(symbol), 30):
                    trades[one["id"]] = row(one)
            candles = await asyncio.wait_for(exchange.watch_ohlcv(symbol, WATCHED_CANDLES[name]), 30)
            told[symbol] = {"trades": list(trades.values()), "candles": candles}
    finally:
        await exchange.close()
    return told


def main(port: str, name: str, now: str) -> None:
    told = {"history": history(name, port, int(now)), "watched": asyncio.run(watched(name, port))}
    json.dump(told, sys.stdout)


main(*sys.argv[1:])

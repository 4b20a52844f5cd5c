"""A client: ccxt's OKX or Bybit, configured by addresses and market types only. `... PORT VENUE NOW`, JSON out."""

import asyncio
import json
import sys

import ccxt
import ccxt.pro

SYMBOLS = ("BTC/USDT", "ETH/USDT:USDT", "SOL/USD:SOL")


def configuration(name: str, port: str) -> dict:
    rest, websocket = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    if name == "okx":
        api = {"rest": rest, "ws": f"{websocket}/ws/v5"}
        types = ["spot", "swap"]
    else:
        public = {category: f"{websocket}/v5/public/{category}" for category in ("spot", "linear", "inverse")}
        api = {"public": rest, "ws": {"public": public}}
        types = ["spot", "linear", "inverse"]
    return {"urls": {"api": api}, "options": {"fetchMarkets": {"types": types}}}


def row(one: dict) -> list:
    return [one["id"], one["timestamp"], one["price"], one["amount"], one["side"]]


def history(name: str, port: str, now: int) -> dict:
    """Load markets, fetch the newest trades, candles since a while ago, and for OKX older trades."""
    exchange = getattr(ccxt, name)(configuration(name, port))
    markets = exchange.load_markets()
    told = {"symbols": sorted(markets), "time": exchange.fetch_time()}
    for symbol in SYMBOLS:
        market = markets[symbol]
        older = []
        trades = exchange.fetch_trades(symbol, limit=50)
        if name == "okx":
            params = {"method": "publicGetMarketHistoryTrades", "after": trades[0]["id"]}
            older = exchange.fetch_trades(symbol, limit=100, params=params)
        told[symbol] = {
            "precision": [market["precision"]["price"], market["precision"]["amount"]],
            "kind": [market["spot"], market["swap"], market["linear"], market["active"]],
            "trades": [row(one) for one in trades],
            "older": [row(one) for one in older],
            "candles": exchange.fetch_ohlcv(symbol, "1m", since=now - 300_000, limit=5),
        }
    return told


async def watched(name: str, port: str) -> dict:
    """Watch trades, candles and quotes of each symbol for a while."""
    exchange = getattr(ccxt.pro, name)(configuration(name, port))
    told = {}
    try:
        for symbol in SYMBOLS:
            trades: dict = {}
            counts: dict = {}
            while len(trades) < 60:
                for one in await asyncio.wait_for(exchange.watch_trades(symbol), 30):
                    trades[one["id"]] = row(one)
                    counts[one["id"]] = int(one["info"].get("count", 1))
            candles = await asyncio.wait_for(exchange.watch_ohlcv(symbol, "1m"), 30)
            book = await asyncio.wait_for(exchange.watch_order_book(symbol, 1, {"depth": "bbo-tbt"}), 30)
            best = [book["bids"][0][0], book["asks"][0][0]]
            told[symbol] = {"trades": list(trades.values()), "counts": counts, "candle": candles[-1], "best": best}
    finally:
        await exchange.close()
    return told


def main(port: str, name: str, now: str) -> None:
    told = {"history": history(name, port, int(now)), "watched": asyncio.run(watched(name, port))}
    json.dump(told, sys.stdout)


main(*sys.argv[1:])

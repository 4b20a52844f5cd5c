"""A client: ccxt, configured by addresses and market types only. `python client_ccxt.py PORT`, JSON out."""

import asyncio
import json
import sys

import ccxt
import ccxt.pro

PAGE = 1000


def configuration(port: str, market_type: str) -> dict:
    rest, websocket = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/ws"
    api = {
        "public": f"{rest}/api/v3",
        "fapiPublic": f"{rest}/fapi/v1",
        "ws": {"spot": websocket, "linear": websocket},
    }
    return {"urls": {"api": api}, "options": {"fetchMarkets": {"types": [market_type]}}}


def history(exchange, symbol: str) -> dict:
    """Page all trades and candles of the last minutes."""
    [market] = exchange.load_markets().values()
    since = exchange.fetch_time() - 240_000
    first = exchange.fetch_trades(symbol, since=since, limit=1)[0]
    trades = [first]
    page: list = [first] * PAGE
    while len(page) == PAGE:
        page = exchange.fetch_trades(symbol, limit=PAGE, params={"fromId": int(trades[-1]["id"]) + 1})
        trades += page
    candles: list = []
    start = since
    while page := exchange.fetch_ohlcv(symbol, "1m", since=start, limit=3):
        candles += page
        start = page[-1][0] + 1
    best = exchange.fetch_bids_asks([symbol])[symbol]
    return {
        "symbol": market["symbol"],
        "precision": market["precision"],
        "active": market["active"],
        "since": since,
        "trades": [[int(one["id"]), one["timestamp"], one["price"], one["amount"], one["side"]] for one in trades],
        "candles": candles,
        "best": [best["bid"], best["ask"]],
        "ticker": exchange.fetch_ticker(symbol)["last"],
        "book": exchange.fetch_order_book(symbol, 5)["bids"][0],
    }


async def watched(exchange, symbol: str) -> dict:
    """Watch trades, quotes and candles for a while."""
    trades: dict = {}
    try:
        while len(trades) < 50:
            for one in await asyncio.wait_for(exchange.watch_trades(symbol), 30):
                trades[one["id"]] = [int(one["id"]), one["timestamp"], one["price"], one["amount"], one["side"]]
        quotes = await asyncio.wait_for(exchange.watch_bids_asks([symbol]), 30)
        candles = await asyncio.wait_for(exchange.watch_ohlcv(symbol, "1m"), 30)
        book = await asyncio.wait_for(exchange.watch_order_book(symbol), 30)
        return {
            "trades": list(trades.values()),
            "quote": [quotes[symbol]["bid"], quotes[symbol]["ask"]],
            "candle": candles[-1],
            "book": [book["bids"][0][0], book["asks"][0][0]],
        }
    finally:
        await exchange.close()


def main(port: str) -> None:
    spot, linear = configuration(port, "spot"), configuration(port, "linear")
    told = {
        "spot": history(ccxt.binance(spot), "BTC/USDT"),
        "linear": history(ccxt.binanceusdm(linear), "ETH/USDT:USDT"),
        "watched spot": asyncio.run(watched(ccxt.pro.binance(spot), "BTC/USDT")),
        "watched linear": asyncio.run(watched(ccxt.pro.binanceusdm(linear), "ETH/USDT:USDT")),
    }
    json.dump(told, sys.stdout)


main(sys.argv[1])

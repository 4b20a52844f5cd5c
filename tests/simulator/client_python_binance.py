"""Another client: python-binance, its addresses changed. `python client_python_binance.py PORT`, JSON out."""

import asyncio
import json
import sys

from binance import AsyncClient, BinanceSocketManager, Client


def history() -> dict:
    client = Client()
    first = client.get_historical_trades(symbol="BTCUSDT", fromId=0, limit=1)[0]
    trades = [first]
    page = [first] * 1000
    while len(page) == 1000:
        page = client.get_historical_trades(symbol="BTCUSDT", fromId=trades[-1]["id"] + 1, limit=1000)
        trades += page
    return {
        "symbols": [one["symbol"] for one in client.get_exchange_info()["symbols"]],
        "filters": client.get_symbol_info("BTCUSDT")["filters"],
        "trades": [[one["id"], one["time"], one["price"], one["qty"], one["isBuyerMaker"]] for one in trades],
        "aggregates": [one["f"] for one in client.aggregate_trade_iter("BTCUSDT", start_str=first["time"])],
        "candles": client.get_klines(symbol="BTCUSDT", interval="1m", limit=1000),
        "futures": [one["p"] for one in client.futures_aggregate_trades(symbol="ETHUSDT", limit=5)],
    }


async def watched() -> dict:
    client = await AsyncClient.create()
    sockets = BinanceSocketManager(client)
    trades, quotes = [], []
    async with sockets.trade_socket("BTCUSDT") as stream:
        while len(trades) < 50:
            one = await asyncio.wait_for(stream.recv(), 30)
            trades.append([one["t"], one["T"], one["p"], one["q"], one["m"]])
    async with sockets.multiplex_socket(["btcusdt@bookTicker", "btcusdt@kline_1m"]) as stream:
        while len({one["stream"] for one in quotes}) < 2:
            quotes.append(await asyncio.wait_for(stream.recv(), 30))
    await client.close_connection()
    return {"watched": trades, "streams": sorted({one["stream"] for one in quotes})}


def main(port: str) -> None:
    for client in (Client, AsyncClient):
        client.API_URL = f"http://127.0.0.1:{port}/api"
        client.FUTURES_URL = f"http://127.0.0.1:{port}/fapi"
    BinanceSocketManager.STREAM_URL = f"ws://127.0.0.1:{port}/"
    json.dump(history() | asyncio.run(watched()), sys.stdout)


main(sys.argv[1])

"""A stand-in for Binance US, as ccxt sees it: spot markets by REST, trades over websockets, faults on demand."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import broadcast, serve

from core.instruments import Instrument
from exchanges.attempts import Attempts
from exchanges.clients import dialer_of, rest_of
from exchanges.guard import Watch
from exchanges.link import Link
from exchanges.registry import venue


class StandIn:
    def __init__(self, symbols=("BTCUSDT", "ETHUSDT")):
        self.symbols = symbols
        self.unwelcome = set()
        self.connections = {}
        self.rest_status = 200
        self.asked = []
        self.trades = {symbol: [] for symbol in symbols}

    @property
    def addresses(self):
        return f"ws://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port}"

    @property
    def subscribed(self):
        return {stream for streams in self.connections.values() for stream in streams}

    def publish(self, symbol, count):
        """Let trades happen, as one burst; gives their ids."""
        ms, rows = time.time_ns() // 1_000_000, self.trades[symbol]
        ids = range(len(rows) + 1, len(rows) + 1 + count)
        rows.extend((one, ms) for one in ids)
        to = [one for one, streams in self.connections.items() if f"{symbol.lower()}@aggTrade" in streams]
        for one in ids:
            data = {"e": "aggTrade", "E": ms, "s": symbol, "a": one, "p": "1.50", "q": "0.25", "f": one, "l": one}
            broadcast(to, json.dumps({**data, "T": ms, "m": one % 2 == 0, "M": True}))
        return ids

    def send(self, text):
        broadcast(self.connections, text)

    def drop(self):
        for one in self.connections:
            one.transport.abort()

    @asynccontextmanager
    async def served(self):
        options = {"process_request": self._answer, "ping_interval": None, "compression": None, "close_timeout": 0.1}
        async with serve(self._talk, "127.0.0.1", 0, **options) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _talk(self, connection):
        streams = self.connections[connection] = set()
        try:
            async for message in connection:
                request = json.loads(message)
                refused = self.unwelcome & set(request["params"])
                streams.update([] if refused else request["params"])
                answer = {"error": {"code": 2, "msg": "Invalid symbol."}} if refused else {"result": None}
                await connection.send(json.dumps({**answer, "id": request["id"]}))
        finally:
            self.connections.pop(connection, None)

    async def _answer(self, connection, request):
        parts = urlsplit(request.path)
        if not parts.path.startswith("/api/"):
            return None
        self.asked.append(parts.path.rsplit("/", 1)[1])
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        told = self._told(self.asked[-1], query) if self.rest_status == 200 else {"code": -1003, "msg": "no"}
        return connection.respond(self.rest_status, json.dumps(told))

    def _told(self, what, query):
        if what == "time":
            return {"serverTime": time.time_ns() // 1_000_000}
        if what == "exchangeInfo":
            return {"symbols": [_listed(symbol) for symbol in self.symbols]}
        rows = self.trades[query["symbol"]]
        found = [row for row in rows if row[1] >= int(query["startTime"])] if "startTime" in query else rows
        limit = int(query.get("limit", 500))
        if limit > 500:
            return {"code": -1130, "msg": "Data sent for parameter 'limit' is not valid."}
        found = found[:limit] if "startTime" in query else found[-limit:]
        terms = {"p": "1.50", "q": "0.25", "M": True}
        return [{"a": one, "f": one, "l": one, "T": ms, "m": one % 2 == 0, **terms} for one, ms in found]


def _listed(symbol):
    steps = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001000"},
    ]
    assets = {"baseAsset": symbol.removesuffix("USDT"), "quoteAsset": "USDT"}
    return {"symbol": symbol, "status": "TRADING", **assets, "isSpotTradingAllowed": True, "filters": steps}


@asynccontextmanager
async def linked(stand_in, sink, *names, at_once=True, watch=(5.0, 5.0, 0.2)):
    """Run a link of ccxt's to it while the block runs; gives the link and its REST client."""
    market = venue("ccxt-binanceus", *stand_in.addresses)
    wanted = [Instrument.parse(f"binanceus:{name}") for name in names]
    rest = rest_of(market)
    (connection,) = market.subscriptions(wanted, ["trade"])
    attempts = Attempts(replace(market.limits, attempts=100), base=0.02, cap=0.1)
    link = Link(market, connection, sink, attempts, Watch(*watch), dial=dialer_of(market, rest))
    task = asyncio.create_task(link.run())
    try:
        yield link, rest
        assert not task.done() or task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await rest.close()

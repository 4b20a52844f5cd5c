"""A venue for the recorder's tests: numbered trades over a real websocket and real REST, and faults on demand.

It runs in a thread of its own. It speaks just enough of Binance's spot protocol; the time of a trade is the time
it was published, its price and size follow from its id.
"""

import asyncio
import json
import threading
import time
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, broadcast, serve

PAGE = 1000


class ScriptedVenue:
    def __init__(self, symbols=("BTCUSDT",), port=0):
        self.symbols, self.port = symbols, port
        self.trades = {symbol: [] for symbol in symbols}  # (id, ms), ids from 1
        self.asked = []
        self.rest_down = self.html = self.mute = False
        self.halted = set()  # symbols that do not trade at present
        self.unwelcome = set()  # streams that nobody may subscribe
        self.busy = set()  # streams that nobody may subscribe for now
        self.refusals = 0
        self.missing = set()  # ids that REST does not have either
        self.shift_ms = 0
        self._connections = set()
        self._subscribed = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self):
        return len(self._connections)

    @property
    def subscribed(self):
        return {stream for streams in self._subscribed.values() for stream in streams}

    @property
    def urls(self):
        return {"websocket_url": f"ws://127.0.0.1:{self.port}", "rest_url": f"http://127.0.0.1:{self.port}"}

    def publish(self, count, symbol="BTCUSDT", hidden=()):
        """Let trades happen; those with hidden ids are not sent over websockets."""
        return self._call(self._publish, count, symbol, set(hidden))

    def send(self, payload):
        """Send anything to everybody."""
        self._call(lambda: broadcast(self._connections, payload))

    def drop(self):
        """Cut every connection without a goodbye."""
        self._call(lambda: [one.transport.abort() for one in self._connections])

    def wait_for(self, condition, seconds=20.0):
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, "the recorder did not come"
            time.sleep(0.01)

    def _call(self, what, *arguments):
        async def run():
            return what(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(20)

    def _publish(self, count, symbol, hidden):
        ms = time.time_ns() // 1_000_000 + self.shift_ms
        rows = self.trades[symbol]
        ids = range(len(rows) + 1, len(rows) + 1 + count)
        rows.extend((number, ms) for number in ids)
        stream = f"{symbol.lower()}@trade"
        to = [one for one, streams in self._subscribed.items() if stream in streams]
        if not self.mute:
            for number in ids:
                if number not in hidden:
                    data = {"e": "trade", "E": ms, "s": symbol, "t": number, **_terms(number), "T": ms}
                    data |= {"m": number % 2 == 0, "M": True}
                    broadcast(to, json.dumps({"stream": stream, "data": data}, separators=(",", ":")))
        return ids

    async def _serve(self):
        self._stop = asyncio.Event()
        options = {"process_request": self._answer, "ping_interval": None, "compression": None, "close_timeout": 0.1}
        async with serve(self._talk, "127.0.0.1", self.port, **options) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    async def _talk(self, connection: ServerConnection):
        self._connections.add(connection)
        streams = self._subscribed[connection] = set()
        try:
            async for message in connection:
                request = json.loads(message)
                change = streams.update if request["method"] == "SUBSCRIBE" else streams.difference_update
                answer = {"result": None}
                if request["method"] == "SUBSCRIBE" and self.unwelcome & set(request["params"]):
                    answer = {"error": {"code": 2, "msg": "no such stream"}}
                    self.refusals += 1
                elif request["method"] == "SUBSCRIBE" and self.busy & set(request["params"]):
                    answer = {"error": {"code": -1003, "msg": "too many requests"}}
                    self.refusals += 1
                else:
                    change(request["params"])
                if not self.mute:
                    await connection.send(json.dumps({**answer, "id": request["id"]}))
        finally:
            self._connections.discard(connection)
            self._subscribed.pop(connection, None)

    async def _answer(self, connection, request):
        parts = urlsplit(request.path)
        if not parts.path.startswith("/api/"):
            return None
        self.asked.append(request.path)
        if self.rest_down:
            return connection.respond(503, "down\n")
        if self.html:
            return connection.respond(200, "<html>please log in</html>\n")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return connection.respond(200, json.dumps(self._rest(parts.path.rsplit("/", 1)[1], query)))

    def _rest(self, what, query):
        if what == "time":
            return {"serverTime": time.time_ns() // 1_000_000 + self.shift_ms}
        if what == "exchangeInfo":
            return {"symbols": [_listed(symbol, symbol in self.halted) for symbol in self.symbols]}
        if what == "klines":
            start, step = int(query["startTime"]), 60_000
            starts = range(-(-start // step) * step, int(query["endTime"]) + 1, step)[: int(query["limit"])]
            return [[at, *["1.0"] * 4, "5.0", at + step - 1, "5.0", 3, "2.0", "2.0", "0"] for at in starts]
        rows = [row for row in self.trades[query["symbol"]] if row[0] not in self.missing]
        limit = int(query.get("limit", PAGE))
        if what == "aggTrades":
            found = [row for row in rows if row[1] >= int(query["startTime"])][:limit]
            return [{"a": i, "f": i, "l": i, "T": ms, "m": i % 2 == 0, "M": True, **_terms(i)} for i, ms in found]
        first = int(query["fromId"]) if "fromId" in query else max(1, len(rows) - limit + 1)
        found = [row for row in rows if row[0] >= first][:limit]
        return [
            {"id": i, "price": _terms(i)["p"], "qty": _terms(i)["q"], "quoteQty": "1.0", "time": ms}
            | {"isBuyerMaker": i % 2 == 0, "isBestMatch": True}
            for i, ms in found
        ]


def _terms(number):
    return {"p": f"{100 + number % 50}.50", "q": f"0.{1 + number % 9}"}


def _listed(symbol, halted):
    return {
        "symbol": symbol,
        "status": "BREAK" if halted else "TRADING",
        "baseAsset": symbol.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001"},
        ],
    }

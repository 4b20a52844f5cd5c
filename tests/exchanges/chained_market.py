"""A market of certain trade ids, one a millisecond, that answers REST as each venue does whose ids chain."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from core.instruments import Instrument
from exchanges.registry import venue

START = 1_767_225_600_000
INSTRUMENTS = {
    "binance": Instrument.parse("binance:BTC-USDT"),
    "okx": Instrument.parse("okx:BTC-USDT"),
    "coinbase": Instrument.parse("coinbase:BTC-USD"),
    "deribit": Instrument.parse("deribit:BTC-USD-PERP"),
}
PAGES = {"binance": 1000, "okx": 100, "coinbase": 1000, "deribit": 1000}


class ChainedMarket:
    """Have the trades of these ids; ``answers`` are the statuses of the next answers, after which all are 200."""

    def __init__(self, name, ids, answers=()):
        self.name, self.ids, self.answers = name, sorted(ids), list(answers)
        self.asked, self.newest = 0, 2**62

    @asynccontextmanager
    async def serving(self):
        """Serve it on loopback; give the venue at that address, whose budget is no hindrance."""
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        known = venue(self.name, rest_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        try:
            yield replace(known, budget=replace(known.budget, weight=10**9))
        finally:
            server.close()

    async def _handle(self, reader, writer):
        target = urlsplit((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        self.asked += 1
        status = self.answers.pop(0) if self.answers else 200
        page = getattr(self, f"_{self.name}")(target.path.rpartition("/")[2], dict(parse_qsl(target.query)))
        body = json.dumps(page).encode() if status == 200 else b""
        head = f"HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def _up_to(self, last, count):
        found = [n for n in self.ids if n <= min(last, self.newest)]
        return found[-count:]

    def _from(self, first, count):
        return [n for n in self.ids if first <= n <= self.newest][:count]

    def _binance(self, what, params):
        count = int(params["limit"])
        found = self._from(int(params["fromId"]), count) if "fromId" in params else self._up_to(2**62, count)
        if what == "aggTrades":
            return [{"a": n, "p": "1.5", "q": "2", "f": n, "l": n, "T": START + n, "m": False} for n in found]
        return [{"id": n, "price": "1.5", "qty": "2", "time": START + n, "isBuyerMaker": False} for n in found]

    def _okx(self, what, params):
        assert (what, params.get("type")) in {("trades", None), ("history-trades", "1")}
        rows = [
            {
                "instId": params["instId"],
                "tradeId": str(n),
                "px": "1.5",
                "sz": "2",
                "side": "buy",
                "ts": str(START + n),
            }
            for n in reversed(self._up_to(int(params.get("after", 2**62)) - 1, int(params["limit"])))
        ]
        return {"code": "0", "msg": "", "data": rows}

    def _coinbase(self, what, params):
        def time(number):
            return datetime.fromtimestamp((START + number) / 1000, UTC).isoformat().replace("+00:00", "Z")

        return [
            {"time": time(n), "trade_id": n, "price": "1.50", "size": "2.0", "side": "sell"}
            for n in reversed(self._up_to(int(params.get("after", 2**62)) - 1, int(params["limit"])))
        ]

    def _deribit(self, what, params):
        assert what == "get_last_trades_by_instrument"
        count = int(params["count"])
        if params["sorting"] == "asc":
            found = self._from(int(params["start_seq"]), count)
        else:
            found = self._up_to(int(params.get("end_seq", 2**62)), count)[::-1]
        common = {"instrument_name": params["instrument_name"], "price": 1.5, "amount": 2.0, "direction": "buy"}
        return {"result": {"trades": [{**common, "trade_seq": n, "timestamp": START + n} for n in found]}}

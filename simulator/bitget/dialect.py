"""Bitget's dialect, v2: spot and USDT futures over one websocket address, told apart by ``instType``.

Sources: bitget.com/api-doc ("Websocket API", spot and contract "Websocket, Public"); exchanges.md, section 6.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from core.candles import Candle
from core.errors import UserError
from core.instruments import Instrument
from core.timeframes import TIMEFRAMES
from core.trades import TradeBatch
from simulator.binance.history import between
from simulator.bitget import frames
from simulator.bitget.names import CHANNELS, FUTURES, SPOT
from simulator.bitget.requests import Requests
from simulator.dialect import NOTHING, Connection, Dialect, Frames, Manners, Reaction
from simulator.endpoint import Endpoint, Refusal
from simulator.exchange import SimulatedExchange
from simulator.framing import Frame
from simulator.topic import Quote, Topic
from simulator.trade_pages import reverse

MANNERS = Manners(messages=10, messages_per=1, attempts=300, attempts_per=300, connections=100, recent=50, repeat=5)
"""A ticker that does not change is told again after five seconds; the first push holds the last 50 trades."""

_SILENCE = 120
"""Seconds without a ping after which the venue closes a connection."""
_STALE = (1000, "no ping in two minutes")
_CANDLES = 100
"""Candles in the first push of a candle channel."""


class Bitget(Dialect):
    """Talk as Bitget does."""

    name = "bitget"
    paths = ("/v2/ws/public",)

    def __init__(self, exchange: SimulatedExchange, manners: Manners = MANNERS) -> None:
        super().__init__(exchange, manners)

    def venue_name(self, instrument: Instrument) -> str:
        """Give the venue of spot, or that of futures."""
        return "bitget-usdt" if instrument.expiry else "bitget"

    def section(self, instrument: Instrument) -> str:
        """Give the ``instType``."""
        return FUTURES if instrument.expiry else SPOT

    def symbol(self, instrument: Instrument) -> str:
        """Give Bitget's symbol: the same for spot and perpetual."""
        if instrument.expiry not in ("", "PERP") or (instrument.expiry and instrument.quote != "USDT"):
            raise UserError(f"{instrument.name} is neither spot nor a perpetual in USDT: Bitget has none such")
        return instrument.base + instrument.quote

    def heard(self, connection: Connection, message: Frame) -> Reaction:
        """Answer a ping with a pong, and every argument of a request by itself."""
        if message in ("ping", b"ping"):
            connection.notes["pinged"] = connection.heard
            return Reaction(("pong",))
        try:
            request = msgspec.json.decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return Reaction((_failed(30002, "Illegal request"),))
        arguments = request.get("args") if isinstance(request, dict) else None
        if not isinstance(arguments, list) or not isinstance(request, dict):
            return Reaction((_failed(30002, "Illegal request"),))
        operation = request.get("op")
        if operation not in ("subscribe", "unsubscribe"):
            return Reaction((_failed(30003, "Invalid op"),))
        found = [(argument, self.topic(argument)) for argument in arguments]
        told = tuple(_answered(operation, *one) for one in found)
        topics = [topic for _, topic in found if topic is not None]
        if operation == "subscribe":
            return Reaction(told, added=topics)
        return Reaction(told, removed=[topic.key for topic in topics])

    def timer(self, connection: Connection, now: float) -> Reaction:
        """Close the connection of a client that does not ping."""
        since: float = connection.notes.get("pinged", connection.opened)
        return Reaction(close=_STALE) if now >= since + _SILENCE else NOTHING

    def trades(self, topic: Topic, trades: TradeBatch, sent: int, snapshot: bool) -> Frames:
        """Tell trades, newest first."""
        action = "snapshot" if snapshot else "update"
        return (_push(action, topic, frames.trades(reverse(trades)), sent),)

    def kline(self, topic: Topic, candle: Candle, closed: bool, sent: int, snapshot: bool) -> Frames:
        """Tell a candle; the first push holds those before it, too. Nothing says that it is closed."""
        earlier: list[Candle] = []
        if snapshot:
            timeframe, source = TIMEFRAMES[topic.timeframe], topic.market.source
            earlier = between(self.exchange, source, timeframe, None, candle.start, candle.start, _CANDLES - 1)
        rows = [frames.candle(one) for one in (*earlier, candle)]
        return (_push("snapshot" if snapshot else "update", topic, rows, sent),)

    def quote(self, topic: Topic, quote: Quote, sent: int, snapshot: bool) -> Frames:
        """Tell the ticker: always a whole one."""
        return (_push("snapshot", topic, [frames.ticker(topic.market, quote, sent)], sent),)

    def endpoints(self) -> Sequence[Endpoint]:
        """Give the requests; an address may ask for each 20 times a second, for the history of trades 10 times."""
        spot, futures = Requests(self, SPOT), Requests(self, FUTURES)
        answers = {
            "public/time": spot.time,
            "spot/public/coins": spot.coins,
            "margin/currencies": spot.coins,
            "spot/public/symbols": spot.instruments,
            "spot/market/fills": spot.fills,
            "spot/market/fills-history": spot.fills_history,
            "spot/market/candles": spot.candles,
            "spot/market/history-candles": spot.history_candles,
            "mix/market/contracts": futures.instruments,
            "mix/market/fills": futures.fills,
            "mix/market/fills-history": futures.fills_history,
            "mix/market/candles": futures.candles,
            "mix/market/history-candles": futures.history_candles,
        }
        return [
            Endpoint(f"/api/v2/{path}", answer, 10 if path.endswith("fills-history") else 20, 1.0)
            for path, answer in answers.items()
        ]

    def over_limit(self, endpoint: Endpoint, wait: float) -> Refusal:
        """Refuse who asks too often."""
        now = self.exchange.venue_now() // 1000
        return Refusal({"code": "429", "msg": "Too Many Requests", "requestTime": now, "data": None}, 429)

    def topic(self, argument: object) -> Topic | None:
        """Give the topic of an argument, None for one that there is not."""
        if not isinstance(argument, dict):
            return None
        section, channel, symbol = (argument.get(name) for name in ("instType", "channel", "instId"))
        if not all(isinstance(part, str) for part in (section, channel, symbol)):
            return None
        market = self.market(str(symbol), str(section))
        if market is None:
            return None
        key = f'{{"instType":"{section}","channel":"{channel}","instId":"{symbol}"}}'
        if channel == "trade":
            return Topic("trade", market, key)
        if channel == "ticker":
            return Topic("quote", market, key)
        return Topic("kline", market, key, CHANNELS[str(channel)]) if channel in CHANNELS else None


def _push(action: str, topic: Topic, rows: Sequence[str], sent: int) -> str:
    return frames.push(action, str(topic.key), rows, sent)


def _answered(operation: str, argument: Any, topic: Topic | None) -> str:
    if topic is not None:
        return f'{{"event":"{operation}","arg":{topic.key}}}'
    named = argument if isinstance(argument, dict) else {}
    words = ",".join(f"{name}:{named.get(name)}" for name in ("instType", "channel", "instId"))
    refusal = {"event": "error", "arg": argument, "code": 30001, "msg": f"{words} doesn't exist", "op": operation}
    return json.dumps(refusal)


def _failed(code: int, words: str) -> str:
    return f'{{"event":"error","code":{code},"msg":"{words}"}}'

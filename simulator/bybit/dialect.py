"""Bybit's websocket protocol, version 5: the public topics of spot, linear and inverse.

Source: bybit-exchange/docs v5, "Websocket", "Connect"; exchanges.md, section 4.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from core.candles import Candle
from core.instruments import Instrument
from core.trades import TradeBatch
from simulator.bybit import frames, rest
from simulator.bybit.topics import CATEGORIES, category_of, find
from simulator.dialect import NOTHING, Connection, Dialect, Frames, Manners, Reaction
from simulator.endpoint import Endpoint, Refusal
from simulator.exchange import SimulatedExchange
from simulator.framing import Frame
from simulator.topic import Mark, Quote, Topic

MANNERS = Manners(
    messages=100, messages_per=1, attempts=500, attempts_per=300, connections=1000, denied=403, ban=600, repeat=3
)

_IDLE = 600.0
"""Seconds without a message either way after which a connection is closed."""
_LONGEST = 21_000
"""Characters of the arguments of one request."""
_SPOT_ARGUMENTS = 10
_PREFIX = "/v5/public/"


class Bybit(Dialect):
    """Talk as Bybit does; see `simulator.dialect.Dialect`. The section of a market is its category."""

    name = "bybit"
    paths = tuple(_PREFIX + category for category in CATEGORIES)

    def __init__(self, exchange: SimulatedExchange, manners: Manners = MANNERS) -> None:
        super().__init__(exchange, manners)

    def venue_name(self, instrument: Instrument) -> str:  # noqa: D102 - said by the contract
        category = category_of(instrument)
        return self.name if category == "spot" else f"{self.name}-{category}"

    def section(self, instrument: Instrument) -> str:  # noqa: D102
        return category_of(instrument)

    def heard(self, connection: Connection, message: Frame) -> Reaction:  # noqa: D102
        try:
            asked = msgspec.json.decode(message, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError):
            return Reaction([_answered(connection, False, "error:invalid json", None, "")])
        number, op, args = asked.get("req_id"), asked.get("op"), asked.get("args")
        if op == "ping":
            return Reaction([_answered(connection, True, "pong", number, op)])
        if op not in ("subscribe", "unsubscribe"):
            return Reaction([_answered(connection, False, "error:invalid op", number, str(op)[:40])])
        wrong, topics = self._read(connection, args, op == "subscribe")
        if wrong:
            return Reaction([_answered(connection, False, wrong, number, op)])
        answer = [_answered(connection, True, "", number, op)]
        if op == "subscribe":
            return Reaction(answer, topics)
        return Reaction(answer, removed=[topic.key for topic in topics])

    def timer(self, connection: Connection, now: float) -> Reaction:  # noqa: D102
        silent = now - max(connection.heard, connection.sent) > _IDLE
        return Reaction(close=(1000, "")) if silent else NOTHING

    def trades(self, topic: Topic, trades: TradeBatch, sent: int, snapshot: bool) -> Frames:  # noqa: D102
        return frames.told(topic, trades, sent)

    def kline(self, topic: Topic, candle: Candle, closed: bool, sent: int, snapshot: bool) -> Frames:  # noqa: D102
        return [frames.kline(topic, candle, closed, sent)]

    def quote(self, topic: Topic, quote: Quote, sent: int, snapshot: bool) -> Frames:  # noqa: D102
        return [frames.best(topic, quote, sent)]

    def mark_price(self, topic: Topic, mark: Mark, sent: int, snapshot: bool) -> Frames:  # noqa: D102
        return [frames.ticker(topic, mark, sent, snapshot)]

    def endpoints(self) -> Sequence[Endpoint]:  # noqa: D102
        return rest.endpoints(self)

    def over_limit(self, endpoint: Endpoint, wait: float) -> Refusal:  # noqa: D102
        return Refusal(b"access too frequent", 403)

    def _read(self, connection: Connection, args: Any, subscribe: bool) -> tuple[str, list[Topic]]:
        """Give what is wrong with arguments (one bad topic spoils all of them), or their topics."""
        category = connection.path.removeprefix(_PREFIX)
        if not isinstance(args, list) or not args:
            return "error:args is empty", []
        if category == "spot" and len(args) > _SPOT_ARGUMENTS:
            return f"args size >{_SPOT_ARGUMENTS}", []
        if sum(len(str(arg)) for arg in args) > _LONGEST:
            return f"args length >{_LONGEST}", []
        topics: list[Topic] = []
        for arg in args:
            topic = find(self, category, arg)
            if topic is None:
                words = "Invalid symbol :[{}]" if category == "spot" else "error:handler not found,topic:{}"
                return words.format(str(arg)[:100]), []
            if subscribe and topic.key in connection.topics:
                return f"error:already subscribed,topic:{arg}", []
            topics.append(topic)
        return "", topics


def _answered(connection: Connection, success: bool, words: str, number: Any, op: str) -> str:
    named = {} if number is None else {"req_id": number}
    answer = {"success": success, "ret_msg": words, "conn_id": connection.id, **named, "op": op}
    return msgspec.json.encode(answer).decode()

"""Our own form of what ccxt brings: it hands over objects, and the journal keeps frames that can be read again.

``{"ccxt":"kraken","symbol":"BTC/USD","trades":[{"id":"7","timestamp":1700000000123,"price":"1.50","amount":"2",
"side":"buy"}]}``, and what became of subscriptions: ``{"ccxt":"kraken","watching":["trade:BTC-USD"]}`` and
``{"ccxt":"kraken","refused":["trade:BTC-USDX"],"words":"…"}``. Times are ms since the epoch, UTC, as ccxt tells them.

Prices and amounts are the venue's own texts where ccxt keeps them (it is told to make texts of numbers), and the
shortest decimal of a double where it had one: venues that send JSON numbers, sums that ccxt itself worked out.

Ids are text: the venue's own. One that `exchanges.text_ids` does not take (longer than 40 characters, beyond int64)
stands as ``~`` and 32 digits of its BLAKE2b. A trade without one gets such an id from its time, price, amount and
side, and from how many equal ones of that millisecond came before it in this watch (in this page, for REST). So the
same trades have the same ids whoever brings them, unless a page or a watch begins between equal trades of one
millisecond.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from core.errors import MalformedFrame
from exchanges import bounds, ccxt_symbols
from exchanges.json_payload import read_json
from exchanges.messages import Ack, ErrorReply, Message, Trade
from exchanges.text_ids import text_id

TRADES_A_FRAME = 500
_COUNTED = 10_000


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold a trade; ``timestamp`` is ms since the epoch, UTC, ``side`` the taker's."""

    id: str
    timestamp: int
    price: str
    amount: str
    side: Literal["buy", "sell"]


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ccxt: str
    symbol: str | msgspec.UnsetType = msgspec.UNSET
    trades: list[Row] | msgspec.UnsetType = msgspec.UNSET
    watching: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    refused: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    words: str | msgspec.UnsetType = msgspec.UNSET


class Rows:
    """Make rows of ccxt's trades of one market, in the order of their arrival; it counts those without an id."""

    def __init__(self) -> None:
        self._equal: Counter[tuple[str, ...]] = Counter()

    def row(self, trade: Mapping[str, Any]) -> dict[str, Any]:
        """Give what a row holds, unchecked."""
        row = {
            "id": trade.get("id"),
            "timestamp": trade.get("timestamp"),
            "price": _text(trade.get("price")),
            "amount": _text(trade.get("amount")),
            "side": trade.get("side"),
        }
        row["id"] = _id(row["id"]) if row["id"] else self._made(row)
        return row

    def _made(self, row: Mapping[str, Any]) -> str:
        content = tuple(str(row[name]) for name in ("timestamp", "price", "amount", "side"))
        if content not in self._equal and len(self._equal) >= _COUNTED:
            self._equal.clear()
        self._equal[content] += 1
        return _hashed("|".join((*content, str(self._equal[content]))))


def trade_frames(exchange_id: str, symbol: str, rows: Iterable[dict[str, Any]]) -> list[bytes]:
    """Give frames of these rows; one that cannot be read stands alone, so that it takes no others with it."""
    sound: list[dict[str, Any]] = []
    odd: list[dict[str, Any]] = []
    for row in rows:
        (sound if _readable(row) else odd).append(row)
    groups = [sound[at : at + TRADES_A_FRAME] for at in range(0, len(sound), TRADES_A_FRAME)]
    groups += [[one] for one in odd]
    return [_encoded({"ccxt": exchange_id, "symbol": symbol, "trades": group}) for group in groups]


def watching(exchange_id: str, streams: Iterable[str]) -> bytes:
    """Give the frame that says that these streams are watched, as far as can be told."""
    return _encoded({"ccxt": exchange_id, "watching": list(streams)})


def refused(exchange_id: str, streams: Iterable[str], words: str) -> bytes:
    """Give the frame that says that these streams cannot be watched."""
    return _encoded({"ccxt": exchange_id, "refused": list(streams), "words": words[:200]})


def kind_bytes(exchange_id: str) -> int:
    """Give how many first bytes of a frame tell trades from the rest."""
    return len(f'{{"ccxt":"{exchange_id}","s')


def read(frame: bytes, exchange_id: str) -> list[Message]:
    """Read a frame; raise `MalformedFrame` and nothing else."""
    told = read_json(frame, _Frame, "a frame of ours from ccxt")
    if told.ccxt != exchange_id:
        raise MalformedFrame(f"a frame of {told.ccxt[:40]!r}, not of {exchange_id}")
    members = tuple(
        name
        for name in ("symbol", "trades", "watching", "refused", "words")
        if getattr(told, name) is not msgspec.UNSET
    )
    if members == ("symbol", "trades"):
        name = ccxt_symbols.instrument(exchange_id, told.symbol or "").name
        return [_trade(name, row) for row in told.trades or ()]
    if members == ("watching",):
        return [Ack(None, told.watching or ())]
    if members == ("refused", "words"):
        return [ErrorReply(0, told.words or "", None, told.refused or ())]
    raise MalformedFrame(f"a frame with {', '.join(members) or 'nothing'} says nothing that is known")


def _trade(name: str, row: Row) -> Trade:
    number, time = checked(row)
    return Trade(name, "execution", number, time, time, row.price, row.amount, row.side, 1)


def checked(row: Row) -> tuple[int, int]:
    """Give a trade's id and its time (µs since the epoch, UTC); raise `MalformedFrame` where it is out of bounds."""
    number = text_id(row.id)
    time = bounds.micros(row.timestamp, "trade time")
    bounds.trade_value(row.price, row.amount)
    return number, time


def _readable(row: dict[str, Any]) -> bool:
    try:
        checked(msgspec.convert(row, Row))
    except (msgspec.ValidationError, MalformedFrame):
        return False
    return True


def _encoded(frame: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(frame)
    except (TypeError, ValueError, msgspec.MsgspecError):
        # Whatever it is, it is quarantined as text.
        return msgspec.json.encode({**frame, "trades": repr(frame.get("trades"))[:4000]})


def _id(given: Any) -> str:
    text = str(given)
    try:
        text_id(text)
    except MalformedFrame:
        return _hashed(text)
    return text


def _hashed(text: str) -> str:
    return "~" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _text(number: Any) -> Any:
    if isinstance(number, float | int) and not isinstance(number, bool):
        number = repr(number)
    if isinstance(number, str) and ("e" in number or "E" in number):
        try:
            return format(Decimal(number), "f")
        except InvalidOperation:
            return number
    return number

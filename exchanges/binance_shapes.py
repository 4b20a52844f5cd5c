"""The byte shapes in which Binance sends what is frequent: members in its own order, without a space.

Source: the doc samples and captures of web-socket-streams.md (spot) and of the USD-M streams. A field stands
between angle brackets; each is one opcode below 32, so that a shape is a row of bytes to match or to read.
"""

import re

import numpy as np

from exchanges import binance_scan as scan
from exchanges.binance_scan import AGGREGATE, DEPTH, QUOTE, TRADE

_OPCODES = {
    "sent": scan.SENT,
    "time": scan.TIME,
    "symbol": scan.SYMBOL,
    "id": scan.ID,
    "price": scan.PRICE,
    "size": scan.SIZE,
    "bid": scan.BID,
    "bid_size": scan.BID_SIZE,
    "ask": scan.ASK,
    "ask_size": scan.ASK_SIZE,
    "first": scan.FIRST,
    "last": scan.LAST,
    "maker": scan.MAKER,
    # A whole number, passed over.
    "number": scan.PASSED,
    "levels": scan.LEVELS,
    # What newer versions append.
    "more": scan.MORE,
}

_BOOK = '"b":"<bid>","B":"<bid_size>","a":"<ask>","A":"<ask_size>"'
_DEAL = '"p":"<price>","q":"<size>"'
_RANGE = '"f":<first>,"l":<last>,"T":<time>,"m":<maker><more>}'

_SHAPES: tuple[tuple[int, str], ...] = (
    (TRADE, '{"e":"trade","E":<sent>,"s":"<symbol>","t":<id>,' + _DEAL + ',"T":<time>,"m":<maker><more>}'),
    (QUOTE, '{"u":<id>,"s":"<symbol>",' + _BOOK + "}"),
    (QUOTE, '{"e":"bookTicker","u":<id>,"s":"<symbol>",' + _BOOK + ',"T":<time>,"E":<sent><more>}'),
    (AGGREGATE, '{"e":"aggTrade","E":<sent>,"s":"<symbol>","a":<id>,' + _DEAL + "," + _RANGE),
    (AGGREGATE, '{"e":"aggTrade","E":<sent>,"a":<id>,"s":"<symbol>",' + _DEAL + "," + _RANGE),
    (DEPTH, '{"e":"depthUpdate","E":<number>,"s":"<symbol>","U":<number>,"u":<number>,"b":<levels>,"a":<levels>}'),
    (
        DEPTH,
        '{"e":"depthUpdate","E":<number>,"T":<number>,"s":"<symbol>","U":<number>,"u":<number>,"pu":<number>,'
        '"b":<levels>,"a":<levels><more>}',
    ),
    # Until 2024 trades carried the ids of both orders.
    (
        TRADE,
        '{"e":"trade","E":<sent>,"s":"<symbol>","t":<id>,'
        + _DEAL
        + ',"b":<number>,"a":<number>,"T":<time>,"m":<maker><more>}',
    ),
)


def _compiled(shape: str) -> bytes:
    return re.sub("<([a-z_]+)>", lambda field: chr(_OPCODES[field[1]]), shape).encode()


_ROWS = [_compiled(shape) for _, shape in _SHAPES]

SHAPES = (
    np.frombuffer(b"".join(_ROWS), np.uint8),
    np.cumsum([0, *map(len, _ROWS)]),
    np.array([kind for kind, _ in _SHAPES], np.int64),
    np.frombuffer(b"@trade\0\0\0\0\0\0\0@aggTrade\0\0\0\0@bookTicker\0\0@depth@100ms\0", np.uint8).reshape(4, 13),
)
"""All shapes, one after the other; where each ends (from 0); its kind; the stream of each kind, ended by a zero."""

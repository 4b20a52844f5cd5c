"""The names of Upbit's candles, and the short names of what its websocket tells.

Source: docs.upbit.com, "WebSocket", tables of trade, orderbook and candle; "Quotation API".
"""

import re

MINUTES = {1: "1m", 3: "3m", 5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h"}
"""Our timeframes by Upbit's minutes; Upbit also has ten."""

CANDLES = {"candle.1s": "1s", **{f"candle.{unit}m": timeframe for unit, timeframe in MINUTES.items()}}
"""Our timeframes by the websocket's types."""

FORMATS = ("DEFAULT", "SIMPLE", "JSON_LIST", "SIMPLE_LIST")

_SHORT = {
    "type": "ty",
    "code": "cd",
    "timestamp": "tms",
    "trade_date": "td",
    "trade_time": "ttm",
    "trade_timestamp": "ttms",
    "trade_price": "tp",
    "trade_volume": "tv",
    "ask_bid": "ab",
    "prev_closing_price": "pcp",
    "change": "c",
    "change_price": "cp",
    "sequential_id": "sid",
    "best_ask_price": "bap",
    "best_ask_size": "bas",
    "best_bid_price": "bbp",
    "best_bid_size": "bbs",
    "stream_type": "st",
    "total_ask_size": "tas",
    "total_bid_size": "tbs",
    "orderbook_units": "obu",
    "ask_price": "ap",
    "bid_price": "bp",
    "ask_size": "as",
    "bid_size": "bs",
    "level": "lv",
    "candle_date_time_utc": "cdttmu",
    "candle_date_time_kst": "cdttmk",
    "opening_price": "op",
    "high_price": "hp",
    "low_price": "lp",
    "candle_acc_trade_volume": "catv",
    "candle_acc_trade_price": "catp",
}
_NAME = re.compile(r'"([a-z_]+)":')


def formed(body: str, form: str) -> str:
    """Give a message in one of the `FORMATS`: with short names, as the one element of a list, or both."""
    if form.startswith("SIMPLE"):
        body = _NAME.sub(lambda match: f'"{_SHORT[match[1]]}":', body)
    return f"[{body}]" if form.endswith("_LIST") else body

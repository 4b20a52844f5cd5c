"""Lists in pages, candles with holes and trades by the day, asked of a real HTTP server that keeps a small market."""

import asyncio
import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.timeframes import DAY, MINUTE
from exchanges import history
from exchanges.registry import venue
from exchanges.rest import Rest

NOON = 1_787_745_600_000_000
BTC = Instrument.parse("upbit:BTC-KRW")


class Server:
    """Answers by the last part of the path; notes what it was asked."""

    def __init__(self, **answers) -> None:
        self.answers, self.asked = answers, []

    async def handle(self, head, reader, writer) -> None:
        target = urlsplit(head.split()[1].decode())
        params = dict(parse_qsl(target.query))
        self.asked.append((target.path, params))
        body = json.dumps(self.answers[target.path.rpartition("/")[2].replace("-", "_")](params)).encode()
        date = b"Date: Wed, 26 Aug 2026 12:00:00 GMT\r\n"
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n" % (date, len(body)) + body
        )


async def with_rest(raw_server, server: Server, market, ask):
    async with raw_server(server.handle) as port:
        market = replace(market, rest_url=f"http://127.0.0.1:{port}")
        rest = Rest(market)
        try:
            return await ask(rest, market)
        finally:
            await rest.close()


def listed(base: str) -> dict:
    return {"symbol": f"{base}USDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": base,
            "quoteCoin": "USDT", "priceFilter": {"tickSize": "0.1"}, "lotSizeFilter": {"qtyStep": "1"}}  # fmt: skip


def test_a_list_in_pages_is_read_to_its_end(raw_server) -> None:
    pages = {"": (["A", "B"], "b%3D1"), "b%3D1": (["B", "C"], "c"), "c": ([], "c")}

    def info(params) -> dict:
        bases, cursor = pages[params.get("cursor", "")]
        rows = {"category": "linear", "list": [listed(base) for base in bases], "nextPageCursor": cursor}
        return {"retCode": 0, "retMsg": "OK", "result": rows}

    server = Server(instruments_info=info)
    found = asyncio.run(with_rest(raw_server, server, venue("bybit-linear"), history.instruments))
    assert [one.base for one in found] == ["A", "B", "C"]
    assert [params.get("cursor") for _, params in server.asked] == [None, "b%3D1", "c"]


def test_a_list_without_an_end_is_refused(raw_server) -> None:
    page = {"category": "linear", "list": [listed("A")], "nextPageCursor": "again"}
    server = Server(instruments_info=lambda params: {"retCode": 0, "retMsg": "OK", "result": page})
    with pytest.raises(MalformedFrame, match="has no end"):
        asyncio.run(with_rest(raw_server, server, venue("bybit-linear"), history.instruments))


def bar(start: int) -> dict:
    moment = str(np.datetime64(start // 1_000_000, "s"))
    prices = dict.fromkeys(("opening_price", "high_price", "low_price", "trade_price"), 5.5)
    return {"market": "KRW-BTC", "candle_date_time_utc": moment, **prices, "candle_acc_trade_volume": 1.0,
            "candle_acc_trade_price": 5.5}  # fmt: skip


def test_candles_are_found_behind_hours_without_any(raw_server) -> None:
    starts = [NOON - minutes * MINUTE for minutes in (900, 899, 5, 1, 0)]

    def minutes(params) -> list:
        to = int(np.datetime64(params["to"][:-1], "us").astype(int))
        return [bar(start) for start in reversed(starts) if start < to][: int(params["count"])]

    server = Server(**{"1": minutes, "all": lambda params: []})

    async def ask(rest, market):
        return await history.klines(rest, market, BTC, "1m", NOON - 1000 * MINUTE, NOON + MINUTE)

    found = asyncio.run(with_rest(raw_server, server, venue("upbit"), ask))
    # The minute of noon is not over by the venue's time.
    assert [row[0] for row in found.rows] == starts[:-1]


def tick(ts: int, number: int) -> dict:
    return {"market": "KRW-BTC", "timestamp": ts // 1000, "trade_price": 5.5, "trade_volume": 1.5, "ask_bid": "BID",
            "sequential_id": number}  # fmt: skip


@pytest.mark.parametrize(
    ("days", "back", "reached"),
    [
        ({0: 3, 1: 250}, DAY * 5 // 4 + MINUTE, True),
        ({1: 450}, DAY * 5 // 4 + MINUTE, True),
        ({0: 3, 3: 5}, 3 * DAY, True),
        ({0: 201, 2: 5}, 8 * DAY, False),
    ],
)
def test_trades_are_read_back_across_midnight_and_over_days_without_any(raw_server, days, back, reached) -> None:
    midnight = NOON // DAY * DAY
    past = [
        tick(midnight + DAY // 4 - ago * DAY - k * 1000, 10**6 * (20 - ago) - k)
        for ago, count in sorted(days.items())
        for k in range(count)
    ]

    def ticks(params) -> list:
        day = midnight - int(params.get("days_ago", 0)) * DAY
        below = int(params.get("cursor", 10**18))
        found = [one for one in past if 0 <= one["timestamp"] * 1000 - day < DAY and one["sequential_id"] < below]
        return found[: int(params["count"])]

    async def ask(rest, market):
        return await history.back_to(rest, market, BTC, "execution", NOON - back, 10_000, received=lambda: NOON)

    market = replace(venue("upbit"), now=lambda: NOON * 1000)
    found = asyncio.run(with_rest(raw_server, Server(ticks=ticks), market, ask))
    assert found.reached is reached
    ids = [number for page in found.pages for number in page.ids.tolist()]
    assert ids == sorted(one["sequential_id"] for one in past)
    assert len(ids) == sum(days.values())

"""Bitget's pages of trades may tell whole seconds (exchanges.md, 6): what is missing is fetched all the same."""

import asyncio
import json

import pytest

from core.continuity_in_time import SPACE
from core.records import Kind, Mark, Record, RecordBlock
from dataflows.recorder.known_trades import KnownTrades
from exchanges import history
from exchanges.registry import venue
from exchanges.venue import Request

BITGET = venue("bitget")
BTC = BITGET.instrument("BTCUSDT")
KEY = BTC.name, SPACE
START = 1_787_728_550_000
TRADES = [(1000 + number, START + number * 100) for number in range(60)]


class Rest:
    """Give pages of the trades, newest first."""

    def __init__(self, whole_seconds: bool, page: int) -> None:
        self.whole_seconds, self.page = whole_seconds, page

    async def get(self, request: Request) -> bytes:
        older = [one for one in TRADES if one[0] < int(request.params.get("idLessThan", 10**18))][-self.page :]
        rows = [
            {
                "symbol": "BTCUSDT",
                "tradeId": str(number),
                "side": "Buy",
                "price": "100",
                "size": "1",
                "ts": str(ms // 1000 * 1000 if self.whole_seconds else ms),
            }
            for number, ms in reversed(older)
        ]
        return json.dumps({"code": "00000", "msg": "success", "data": rows}).encode()


def frame(trades: list[tuple[int, int]]) -> Record:
    rows = [
        {"ts": str(ms), "price": "100", "size": "1", "side": "buy", "tradeId": str(number)}
        for number, ms in reversed(trades)
    ]
    arg = {"instType": "SPOT", "channel": "trade", "instId": "BTCUSDT"}
    told = {"action": "update", "arg": arg, "data": rows, "ts": trades[-1][1] + 5}
    return Record(Kind.FRAME, (trades[-1][1] + 5) * 1000, json.dumps(told).encode())


@pytest.mark.parametrize("whole_seconds", [False, True])
@pytest.mark.parametrize("page", [7, 1000])
@pytest.mark.parametrize(("lost", "back"), [(26, 45), (20, 40), (29, 30), (21, 59)])
def test_what_was_missed_is_fetched_and_only_that_is_called_whole(whole_seconds, page, lost, back):
    known = KnownTrades(BITGET)
    marks = [Mark(what, "c", "", (BTC.name,)).record(0) for what in ("lost", "connected")]
    for record in (frame(TRADES[:lost]), *marks, frame(TRADES[back:])):
        known.take(RecordBlock.of("bitget", 0, [record]))
    back_to = min([known.proven_until(KEY), *(hole.after_ts for hole in known.holes_of(KEY))])
    found = asyncio.run(
        history.back_to(
            Rest(whole_seconds, page), BITGET, BTC, SPACE, back_to, 100_000, received=lambda: START * 1000 + 9_000_000
        )
    )
    assert found is not None
    assert found.reached
    assert found.whole_from == back_to
    edge = history.page_time(BITGET, back_to)
    fresh = [number for one in found.pages for number in known.unknown(one.take(one.ts >= edge)).ids.tolist()]
    assert fresh == [number for number, _ in TRADES[lost:back]]
    assert len(known.unknown(found.pages[-1])) >= len(fresh) * (page == 1000)

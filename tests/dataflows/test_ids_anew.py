"""A venue that begins its trade ids anew (faults.md, row 10): said loudly, and nothing stored is overwritten."""

import json

from core.records import Kind, Record, RecordBlock
from core.timeframes import HOUR
from dataflows.decode import Arrivals, Decoder
from dataflows.steps import Checked, check_continuity

START = 1_767_225_600_000


def frame(trade_id: int, ms: int) -> bytes:
    row = {
        "e": "trade",
        "E": ms,
        "s": "BTCUSDT",
        "t": trade_id,
        "p": "10.5",
        "q": "2",
        "T": ms,
        "m": False,
        "M": True,
    }
    return json.dumps({"stream": "btcusdt@trade", "data": row}).encode()


def test_trades_with_ids_of_others_are_set_apart_with_their_reason() -> None:
    later = START + HOUR // 1000
    frames = [frame(1000 + n, START + n) for n in range(5)]
    frames += [frame(1001, START + 1)]
    frames += [frame(n, later + n) for n in (1, 2, 1003)]
    records = [Record(Kind.FRAME, (later + 60_000) * 1000 + n, one) for n, one in enumerate(frames)]
    state, checked = None, list[Checked]()
    for one in Decoder({"binance": "binance"})(None, RecordBlock.of("binance", 0, records))[1]:
        if isinstance(one, Arrivals):
            state, found = check_continuity(state, one, 0)
            checked += found
    assert [int(i) for one in checked for run in one.continued.runs for i in run.trades.ids] == list(
        range(1000, 1005)
    )
    assert sum(one.continued.duplicates for one in checked) == 1
    unread = [row for one in checked for row in one.unread]
    assert [row.offset for row in unread] == [6, 7, 8]
    assert {row.reason for row in unread} == {
        "a trade of binance:BTC-USDT has the id of another: it says something else or is much later; "
        "the first one is kept"
    }
    assert [one.continued.gaps for one in checked if one.continued.gaps] == []

"""What reading again says of a venue's latest trades is true of those that are believed."""

import asyncio
import json
import time

import pytest
from prometheus_client import CollectorRegistry

from core.instruments import Instrument
from core.records import Kind, Reread
from core.settings import JournalSettings
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.known_trades import KnownTrades
from dataflows.recorder.metrics import RecorderMetrics
from dataflows.recorder.rereads import Rereads
from exchanges.registry import venue as venue_named
from exchanges.rest import Rest
from storage.journal import Journal

FEED, KEY = "f", ("bybit:BTC-USDT", "execution")
AHEAD_MS = 2 * 3_600_000


def frame(ms, number):
    row = {"T": ms, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "10", "i": str(number), "BT": False, "seq": number}
    return json.dumps({"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": ms, "data": [row]}).encode()


def answering(page):
    """Answer every request with these trades (ms, id), the newest first as Bybit does."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        row = {"symbol": "BTCUSDT", "price": "10", "size": "1", "side": "Buy", "isBlockTrade": False}
        rows = [row | {"execId": str(number), "time": str(ms)} for ms, number in reversed(page)]
        told = {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": rows}, "time": 0}
        body = json.dumps(told).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    return answer


async def reread(folder, frames, page):
    """Receive frames, ask again as a connection that is new does; give what was said and what is known then."""
    async with await asyncio.start_server(answering(page), "127.0.0.1", 0) as server:
        market = venue_named("bybit", rest_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        metrics = RecorderMetrics(CollectorRegistry()).of(FEED)
        rest, known, clock = Rest(market), KnownTrades(market), SteadyClock()
        with Journal(folder) as journal:
            log = CommitLog(journal, FEED, 1 << 20, JournalSettings(), folder, known.take, metrics)
            await log.open()
            try:
                log.put_frames(frames, clock.now())
                await log.flushed()
                instruments = {KEY[0]: Instrument.parse(KEY[0])}
                rereads = Rereads(market, rest, known, log, clock, metrics, instruments, 1000)
                await rereads.in_order([KEY])
                await log.flushed()
            finally:
                await log.close()
                await rest.close()
            block = journal.read(FEED, -1, 100)
            said = [json.loads(one.payload) for one in block.records() if one.kind == Kind.REREAD]
    return [Reread(**one) for one in said], known


@pytest.mark.parametrize("missed", [[], [(500, 3)]], ids=["nothing", "one"])
def test_a_trade_from_the_future_does_not_prove_the_time_up_to_it(tmp_path, missed):
    begin = time.time_ns() // 1_000_000 - 5_000
    early = (begin + 1000 + AHEAD_MS, 2)
    frames = [frame(begin - 1000, 9), frame(begin, 1), frame(*early)]
    page = [(begin - 1000, 9), (begin, 1), *((begin + ms, number) for ms, number in missed), early]
    (said,), known = asyncio.run(reread(tmp_path, frames, page))
    last = begin + (missed[-1][0] if missed else 0)
    assert (said.first, said.last, said.outcome) == (begin * 1000, last * 1000, "closed")
    assert known.proven_until(KEY) == last * 1000


def test_a_page_of_such_trades_alone_says_nothing(tmp_path):
    begin = time.time_ns() // 1_000_000 - 5_000
    (said,), known = asyncio.run(reread(tmp_path, [frame(begin, 1)], [(begin + AHEAD_MS, 2)]))
    assert (said.first, said.last) == (begin * 1000, begin * 1000)
    assert known.proven_until(KEY) == begin * 1000

"""A refusal that passes costs a connection and a pause, and no stream."""

import asyncio
import sys
from itertools import count
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from dialects import STYLES, DialectServer, dialect

from exchanges import link as links
from exchanges import session
from exchanges.asked import Asked, Wish
from exchanges.attempts import Attempts
from exchanges.messages import ErrorReply
from exchanges.registry import venue

COINS = ("ADA", "BTC", "DOT", "ETH")
NAMES = tuple(f"{coin}-USDT" for coin in COINS)
STREAMS = tuple(f"{coin.lower()}usdt@trade" for coin in COINS)
QUICK = {"messages": 1000, "streams_per_message": 8}
TRADE = b'{"e":"trade","E":1700000000000,"s":"BTCUSDT","t":%d,"p":"1","q":"1","T":1700000000000,"m":true,"M":true}'

PASSING = [
    ("okx", b'{"event":"error","code":"60014","msg":"Requests too frequent","connId":"a4d3ae55"}'),
    ("okx", b'{"event":"error","code":"63999","msg":"Login failed due to internal error.","connId":"a"}'),
    ("okx", b'{"event":"error","code":"64007","msg":"Operation subscribe failed","connId":"a"}'),
    (
        "okx",
        b'{"event":"error","code":"60014","msg":"too fast","arg":{"channel":"index-tickers","instId":"BTC-USDT"}}',
    ),
    ("bitget", b'{"event":"error","code":30006,"msg":"request too many"}'),
    ("bitget", b'{"event":"error","code":"30007","msg":"request over limit,connection close"}'),
    *(
        ("deribit", b'{"jsonrpc":"2.0","id":1,"error":{"code":%d,"message":"x","data":null}}' % code)
        for code in (10028, 10040, 10041, 10047, 10066, 11051, 11094, 13028, 13888)
    ),
    ("upbit", b'{"error":{"name":"TOO_MANY_REQUEST","message":"x"}}'),
    ("upbit", b'{"error":{"name":429,"message":"x"}}'),
    ("bybit", b'{"success":false,"ret_msg":"Internal server error","conn_id":"x","req_id":"1","op":"subscribe"}'),
    ("bybit", b'{"success":false,"ret_msg":"Too many visits!","conn_id":"x","req_id":"1","op":"subscribe"}'),
    ("binance", b'{"error":{"code":1,"msg":"Internal error"},"id":1}'),
    ("binance", b'{"error":{"code":-1003,"msg":"x"},"id":1}'),
    ("binance", b'{"code":-1001,"msg":"x"}'),
    ("coinbase", b'{"type":"error","message":"Failed to subscribe","reason":"rate limit exceeded"}'),
    ("coinbase", b'{"type":"error","message":"ErrSlowRead"}'),
]
FINAL = [
    ("okx", b'{"event":"error","code":"60018","msg":"Wrong URL or channel:x,instId:Y doesn\'t exist","connId":"a"}'),
    ("bitget", b'{"event":"error","code":30001,"msg":"instType:SPOT,channel:x doesn\'t exist"}'),
    ("deribit", b'{"jsonrpc":"2.0","id":1,"error":{"code":13778,"message":"raw_subscriptions_not_available"}}'),
    ("upbit", b'{"error":{"name":"WRONG_FORMAT","message":"x"}}'),
    ("bybit", b'{"success":false,"ret_msg":"Invalid topic","conn_id":"x","req_id":"1","op":"subscribe"}'),
    ("binance", b'{"error":{"code":2,"msg":"Invalid request: unknown variant"},"id":1}'),
    ("coinbase", b'{"type":"error","message":"Failed to subscribe","reason":"X-Y is not a valid product"}'),
]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(session, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(session, "PATIENCE_SECONDS", 0.1)


async def until(reached) -> None:
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("name", "frame"), [*PASSING, *FINAL])
def test_venues_tell_which_refusals_pass_and_those_decide_nothing_about_streams(name, frame) -> None:
    (reply,) = venue(name).parse(frame, 1)
    assert isinstance(reply, ErrorReply)
    assert reply.passing == ((name, frame) in PASSING)
    asked = Asked(whole=not venue(name).subscribing.acknowledged)
    asked.sent(Wish("SUBSCRIBE", ("a",)))
    assert (asked.answered(reply, 0) is None) == reply.passing


@pytest.mark.parametrize("style", STYLES)
def test_what_is_refused_for_now_is_asked_for_as_a_whole_on_the_next_connection(linked, sink_type, style) -> None:
    sink, server, failures = sink_type(quiet=True), DialectServer(style, later=3), []

    class Noted(Attempts):
        async def permission(self, so_many: int) -> None:
            failures.append(so_many)

    market = dialect(style)

    async def run() -> None:
        attempts = Noted(market.limits)
        async with (
            server.serving() as port,
            linked(port, sink, market=market, names=NAMES, attempts=attempts, **QUICK) as link,
        ):
            await until(lambda: server.streams == set(STREAMS))
            await asyncio.sleep(0.1)
            assert link.streams == STREAMS

    asyncio.run(run())
    assert failures == [0, 1, 2, 3], "the pause before the next grows"
    assert [server.asked(at) for at in range(4)] == [[("SUBSCRIBE", list(STREAMS))]] * 4, "never in halves"
    assert "refused" not in sink.marks()
    assert sink.causes() == ["refused: 7: too many requests"] * 3 + ["stopped"]


def test_a_stream_that_is_always_refused_for_now_leaves_the_others_in_the_end(linked, sink_type, monkeypatch) -> None:
    monkeypatch.setattr(links, "PATIENT_TIMES", 2)
    sink, server, odd = sink_type(quiet=True), DialectServer("whole", busy={STREAMS[3]}), STREAMS[3]
    attempts = Attempts(dialect("whole").limits, base=0.01)

    answers, number = server._answers, count(1)
    # A trade comes before the refusal does.
    server._answers = lambda *asked: [*answers(*asked), (TRADE % next(number)).decode()]

    async def run() -> None:
        limits = {**QUICK, "streams_per_message": 2}
        async with (
            server.serving() as port,
            linked(port, sink, market=dialect("whole"), names=NAMES, attempts=attempts, **limits) as link,
        ):
            await until(lambda: set(link.streams) == set(STREAMS) - {odd} == server.streams)
            await asyncio.sleep(0.2)
            assert set(link.streams) == set(STREAMS) - {odd} == server.streams

    asyncio.run(run())
    assert [event[2:] for event in sink.events if event[0] == "refused"] == [(odd, "7: too many requests")]
    assert sink.causes() == ["refused: 7: too many requests"] * 2 + ["stopped"]

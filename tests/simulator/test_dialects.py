"""What each dialect tells, read by our own venues: all of it, the same by websocket and by REST, and the tape's."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from core.instruments import Instrument
from core.timeframes import MINUTE
from exchanges.messages import Ack, Kline, MarkPrice, Quote, Trade
from exchanges.registry import venue

sys.path.insert(0, str(Path(__file__).parent))
from served import every_kind_hour, rest_of, served

MINUTES = 2


@dataclass(frozen=True)
class Told:
    """A venue of ours, and the instrument of the tape that it follows."""

    venue: str
    instrument: str
    marks: bool

    @property
    def source(self) -> str:
        return "simulated:" + self.instrument.split(":")[1]


CASES = [
    Told("okx", "okx:BTC-USDT", False),
    Told("okx", "okx:ETH-USDT-PERP", True),
    Told("okx", "okx:SOL-USD-PERP", True),
    Told("bybit", "bybit:BTC-USDT", False),
    Told("bybit-linear", "bybit:ETH-USDT-PERP", True),
    Told("bybit-inverse", "bybit:SOL-USD-PERP", True),
]


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture
def market(tape):
    with served(tape, (tape.start // MINUTE + 20) * MINUTE) as running:
        yield running


def played(market, sockets, steps=12):
    """Let time pass in steps and give the frames of all sockets."""
    frames = [rest_of(websocket) for websocket in sockets]
    for _ in range(steps):
        market.advance(MINUTES * 60 / steps)
        market.sent_all()
        for known, websocket in zip(frames, sockets, strict=True):
            known += rest_of(websocket, quiet=0.02)
    return [frame for known in frames for frame in known]


def past(market, name):
    end = market.exchange.clock.now()
    batches = market.exchange.tape.between(end - MINUTES * MINUTE, end)
    return next(batch for batch in batches if batch.instrument == name)


def subscribed(market, stack, case, channels):
    """Connect as the venue says; give it and its open sockets."""
    known = venue(case.venue)
    instrument = Instrument.parse(case.instrument)
    sockets = []
    for connection in known.subscriptions([instrument], channels):
        # Only the host differs from the venue's own address.
        websocket = stack.enter_context(market.websocket(urlsplit(connection.url).path))
        sockets.append(websocket)
        for message in (*known.subscribing.opening, *connection.messages):
            websocket.send(message)
    return known, sockets


def read(known, frames):
    return [message for frame in frames for message in known.parse(frame, 1)]


@pytest.mark.parametrize("case", CASES, ids=lambda one: f"{one.venue}-{one.instrument}")
def test_our_venue_reads_what_is_told_and_it_is_the_tapes(market, case):
    channels = [*(["trade", "quote", "kline_1m"]), *(["mark_price"] if case.marks else [])]
    with ExitStack() as stack:
        known, sockets = subscribed(market, stack, case, channels)
        messages = read(known, played(market, sockets))
    kinds = {type(message) for message in messages}
    assert kinds == {
        Trade,
        Quote,
        Kline,
        *([Ack] if known.subscribing.acknowledged else []),
        *([MarkPrice] * case.marks),
    }
    trades = past(market, case.source)
    told = [message for message in messages if isinstance(message, Trade)]
    assert {one.instrument for one in told} == {case.instrument}
    assert [one.time for one in told] == trades.ts.tolist()
    assert [float(one.price) for one in told] == trades.price.tolist()
    assert [float(one.size) for one in told] == trades.size.tolist()
    assert [1 if one.side == "buy" else -1 for one in told] == trades.side.tolist()
    if known.id_space("trade") == "trade":
        assert [one.id for one in told] == trades.ids.tolist()
    assert len({one.id for one in told}) == len(trades)
    quotes = [message for message in messages if isinstance(message, Quote)]
    assert float(quotes[-1].bid) < trades.price[-1] < float(quotes[-1].ask)


@pytest.mark.parametrize("case", CASES, ids=lambda one: f"{one.venue}-{one.instrument}")
def test_candles_are_the_same_by_websocket_and_by_rest(market, case):
    with ExitStack() as stack:
        known, sockets = subscribed(market, stack, case, ["kline_1m"])
        klines = [one for one in read(known, played(market, sockets)) if isinstance(one, Kline)]
    start, now = klines[0].start, market.exchange.venue_now()
    request = known.klines_request(Instrument.parse(case.instrument), "1m", start, now)
    page = known.read_klines(
        Instrument.parse(case.instrument), "1m", market.client.get(request.path, params=request.params).content
    )
    last = {one.start: one for one in klines}
    told = {
        start: (one.open, one.high, one.low, one.close, one.volume)
        for start, one in last.items()
        if start + MINUTE <= now
    }
    assert len(told) == MINUTES
    assert {row[0]: row[1:6] for row in page.rows if row[0] + MINUTE <= now} == told
    closed = [one.start for one in klines if one.closed]
    assert closed in (sorted(told), [])
    trades = past(market, case.source)
    first = trades.take(trades.ts < start + MINUTE)
    assert np.isclose(float(last[start].volume), first.size.sum())


@pytest.mark.parametrize("case", CASES, ids=lambda one: f"{one.venue}-{one.instrument}")
def test_rest_gives_the_trades_that_were_streamed(market, case):
    with ExitStack() as stack:
        known, sockets = subscribed(market, stack, case, ["trade"])
        told = [one for one in read(known, played(market, sockets)) if isinstance(one, Trade)]
    instrument = Instrument.parse(case.instrument)
    request = known.older_trades_request(instrument, "trade", None)
    page = known.read_trades(instrument, "trade", market.client.get(request.path, params=request.params).content, 1)
    n = min(len(page), len(told))
    assert n >= 60
    streamed = [(one.id, one.time, float(one.price), float(one.size)) for one in told[-n:]]
    asked = zip(page.ids.tolist(), page.ts.tolist(), page.price.tolist(), page.size.tolist(), strict=True)
    assert list(asked)[-n:] == streamed


@pytest.mark.parametrize("name", ["okx", "bybit", "bybit-linear", "bybit-inverse"])
def test_time_and_instruments_are_the_tapes(market, name):
    known = venue(name)
    request = known.time_request()
    time = known.read_time(market.client.get(request.path, params=request.params).content)
    assert time // 1000 == market.exchange.venue_now() // 1000
    request = known.instruments_request()
    found = known.read_instruments(market.client.get(request.path, params=request.params).content)
    steps = {one.name.split(":")[1]: (one.tick, one.lot) for one in market.exchange.tape.instruments}
    assert found
    for one in found:
        assert (one.tick, one.lot) == steps[one.name.split(":")[1]]

"""What the simulated Deribit, Bitget and Upbit tell, read by our own venues: it is the tape's, streamed or asked."""

import sys
from pathlib import Path

import pytest

from core.instruments import Instrument
from core.timeframes import MINUTE
from exchanges.messages import Kline, MarkPrice, Quote, Trade
from simulator.bitget import frames as bitget
from simulator.upbit import frames as upbit

sys.path.insert(0, str(Path(__file__).parent))
from served import every_kind_hour, served
from spoken import Client, past

SPOT, LINEAR, INVERSE = "BTC-USDT", "ETH-USDT-PERP", "SOL-USD-PERP"
CASES = [
    ("deribit", f"deribit:{SPOT}"),
    ("deribit", f"deribit:{LINEAR}"),
    ("deribit", f"deribit:{INVERSE}"),
    ("bitget", f"bitget:{SPOT}"),
    ("bitget-usdt", f"bitget:{LINEAR}"),
    ("upbit", f"upbit:{SPOT}"),
]
SHIFT = 400 * 24 * 60 * MINUTE
SECONDS = 90


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture(scope="module")
def market(tape):
    with served(tape, (tape.start // MINUTE + 12) * MINUTE, SHIFT) as running:
        yield running


@pytest.fixture(params=CASES, ids=lambda case: case[1])
def client(market, request):
    name, instrument = request.param
    return Client(market, name, Instrument.parse(instrument))


def source(client):
    return f"simulated:{client.instrument.name.split(':')[1]}"


def shown(client, ids):
    """Give the ids of the tape as the venue tells them."""
    return {"bitget": bitget.IDS.shown, "upbit": upbit.IDS.shown}.get(client.venue.exchange, lambda same: same)(ids)


def rows(trades, ids):
    sides = ["buy" if side > 0 else "sell" for side in trades.side.tolist()]
    columns = (ids, trades.ts, trades.price, trades.size)
    return list(zip(*(column.tolist() for column in columns), sides, strict=True))


def on_tape(client, seconds):
    """Give the rows of the last seconds of the tape under the venue's ids."""
    trades = past(client.market, source(client), seconds)
    return rows(trades, shown(client, trades.ids))


def test_every_frame_is_read_and_the_trades_are_the_tapes(market, client):
    channels = ["trade", "quote", "kline_1m", *(["mark_price"] if client.instrument.expiry else [])]
    with client.subscribed(*channels) as streams:
        messages = streams.played(SECONDS)
    trades = past(market, source(client), SECONDS)
    found = {
        one.id: (one.id, one.time, float(one.price), float(one.size), one.side)
        for one in messages
        if isinstance(one, Trade) and one.time >= trades.ts[0]
    }
    assert list(found.values()) == on_tape(client, SECONDS)
    assert {one.instrument for one in messages if isinstance(one, Trade | Kline)} == {client.instrument.name}
    quotes = [one for one in messages if isinstance(one, Quote)]
    assert len(quotes) > 5
    assert float(quotes[-1].bid) < trades.price[-1] < float(quotes[-1].ask)
    marks = [one for one in messages if isinstance(one, MarkPrice)]
    assert bool(marks) == bool(client.instrument.expiry)
    assert all(one.mark and one.index and one.funding_rate for one in marks)
    closes = {float(one.close) for one in messages if isinstance(one, Kline)}
    assert closes
    assert closes <= set(past(market, source(client), 60 * 60).price.tolist())


@pytest.mark.parametrize(("name", "instrument"), CASES)
def test_pages_backwards_are_all_of_the_past(tape, name, instrument):
    with served(tape, tape.start + 4 * MINUTE, SHIFT) as market:
        client = Client(market, name, Instrument.parse(instrument))
        pages, page = [], client.older()
        while page is not None:
            pages.insert(0, rows(page, page.ids))
            page = client.older((int(page.ids[0]), int(page.ts[0])))
        assert len(pages) > 2
        assert [row for page in pages for row in page] == on_tape(client, 60 * 60)


def test_candles_are_the_tapes_by_stream_and_by_rest(market, client):
    with client.subscribed("kline_1m") as streams:
        streamed = {one.start: one for one in streams.played(150) if isinstance(one, Kline)}
    now = market.exchange.venue_now()
    start = now // MINUTE * MINUTE - 5 * MINUTE
    page = client.candles(start, now)
    asked = {row[0]: row[1:6] for row in page.rows if start <= row[0] and row[0] + MINUTE <= now}
    assert list(asked) == list(range(start, start + 5 * MINUTE, MINUTE))
    trades = past(market, source(client), 6 * 60)
    for minute, (opening, high, low, close, volume) in asked.items():
        mine = trades.take(trades.ts // MINUTE == minute // MINUTE)
        bar = mine.price[0], mine.price.max(), mine.price.min(), mine.price[-1]
        assert tuple(map(float, (opening, high, low, close))) == bar
        assert float(volume) == pytest.approx(mine.size.sum(), rel=1e-12)
    both = [minute for minute in streamed if minute in asked]
    assert len(both) >= 2
    for minute in both:
        one = streamed[minute]
        assert (one.open, one.high, one.low, one.close, one.volume) == asked[minute]
        assert one.closed is None


def test_time_and_instruments_are_told(market, client):
    time = client.venue.read_time(client.asked(client.venue.time_request()))
    assert 0 <= market.exchange.venue_now() - time < 1_000_000
    found = client.venue.read_instruments(client.asked(client.venue.instruments_request()))
    listed = {one.name: one for one in found}
    steps = {one.name.split(":")[1]: (one.tick, one.lot) for one in market.exchange.tape.instruments}
    mine = listed[client.instrument.name]
    assert mine.native == client.venue.native(client.instrument)
    # Upbit's list of markets does not tell them.
    assert (mine.tick, mine.lot) == (
        (None, None) if client.name == "upbit" else steps[client.instrument.name.split(":")[1]]
    )


def test_a_new_connection_repeats_what_it_must_and_hides_nothing(market, client):
    """Trades while nobody listened: REST has them, under the same ids as the streams before and after."""
    with client.subscribed("trade") as streams:
        before = [one for one in streams.played(30) if isinstance(one, Trade)]
    market.advance(30)
    market.sent_all()
    with client.subscribed("trade") as streams:
        after = [one for one in streams.played(30) if isinstance(one, Trade)]
    page = client.older()
    known = {one.id for one in (*before, *after)} | set(page.ids.tolist())
    missed = on_tape(client, 60)
    assert {row[0] for row in missed[-len(page) :]} <= known
    repeated = [one for one in after if one.time < market.exchange.venue_now() - 30 * 1_000_000]
    assert len(repeated) == (50 if client.venue.exchange == "bitget" else 0)

"""Whatever a client sends to Deribit's, Bitget's or Upbit's dialect: it is answered, and nothing is raised."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.timeframes import MINUTE
from simulator.bitget.dialect import Bitget
from simulator.clock import MarketClock
from simulator.deribit.dialect import Deribit
from simulator.deribit.methods import METHODS
from simulator.dialect import Connection
from simulator.endpoint import Asked, Refusal
from simulator.exchange import SimulatedExchange
from simulator.upbit.dialect import Upbit

sys.path.insert(0, str(Path(__file__).parent))
from served import every_kind_hour

WORDS = [
    *("id", "method", "params", "channels", "interval", "op", "args", "instType", "channel", "instId"),
    *("ticket", "type", "codes", "format", "is_only_snapshot", "jsonrpc"),
]
VALUES = [
    *METHODS,
    *("public/subscribe", "public/set_heartbeat", "subscribe", "unsubscribe", "SPOT", "trade", "ticker", "candle1m"),
    *("trades.BTC_USDT.100ms", "BTCUSDT", "BTC_USDT", "USDT-BTC", "orderbook", "USDT-BTC.٣", "SIMPLE", "candle.1m"),
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
JSON = st.recursive(
    SCALARS | st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
MESSAGES = st.binary(max_size=40) | JSON.map(json.dumps) | st.sampled_from(["[" * 30_000, "9" * 400, '{"id":1e999}'])
NAMES = ["instrument_name", "symbol", "market", "markets", "productType", "granularity", "resolution", "sorting"]
NUMBERS = [
    *("start_timestamp", "end_timestamp", "start_seq", "end_seq", "count", "startTime", "endTime", "idLessThan"),
    *("limit", "to", "cursor", "days_ago"),
]
NAMED = st.sampled_from(["BTC_USDT", "BTCUSDT", "USDT-BTC", "USDT-FUTURES", "1", "1min", "1m", "1D", "asc", ""])
COUNTED = st.integers(-5, 10**22).map(str) | st.text(max_size=6) | st.sampled_from(["2025-01-06T00:10:00Z", "001000"])


@pytest.fixture(scope="module")
def exchange():
    tape = every_kind_hour()
    return SimulatedExchange(tape, MarketClock(1.0, tape.start + 3 * MINUTE, monotonic=lambda: 0.0))


@pytest.fixture(scope="module", params=[Deribit, Bitget, Upbit], ids=lambda kind: kind.name)
def dialect(exchange, request):
    return request.param(exchange)


@given(MESSAGES)
@settings(max_examples=300, deadline=None)
def test_every_message_is_answered(dialect, message):
    reaction = dialect.heard(Connection("1", dialect.paths[0], 0.0, 0.0, 0.0), message)
    for frame in reaction.frames:
        assert frame == "pong" or json.loads(frame)
    assert all(one.market in dialect.markets.values() for one in reaction.added)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_every_request_is_answered_or_refused(dialect, exchange, data):
    endpoint = data.draw(st.sampled_from(dialect.endpoints()))
    params = data.draw(st.dictionaries(st.sampled_from(NAMES), NAMED, max_size=5))
    params |= data.draw(st.dictionaries(st.sampled_from(NUMBERS), COUNTED, max_size=5))
    asked = Asked(exchange, params, {"unit": data.draw(st.sampled_from(["1", "10", "x"]))}, exchange.now())
    assert status(endpoint, asked) in (200, 400, 404)


def status(endpoint, asked):
    try:
        json.loads(endpoint.answer(asked))
    except Refusal as refusal:
        return refusal.status
    return 200

"""ccxt, which others wrote, reads the same from the same JSON."""

import json
from decimal import Decimal
from pathlib import Path

import ccxt.pro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from core.instruments import Instrument
from exchanges.messages import Ack, Kline, MarkPrice, Quote, Trade
from exchanges.registry import venue

DERIBIT = venue("deribit")
FIXTURE = Path(__file__).parents[1] / "fixtures/deribit.jsonl"
FRAMES = [json.loads(line) for line in FIXTURE.read_bytes().splitlines()]
LISTED = [
    ("BTC-PERPETUAL", "BTC", "USD", "BTC", "perpetual", 32_503_708_800_000),
    ("BTC-27MAR26", "BTC", "USD", "BTC", "month", 1_774_598_400_000),
    ("SOL_USDC-PERPETUAL", "SOL", "USDC", "USDC", "perpetual", 32_503_708_800_000),
    ("BTC_USDC", "BTC", "USDC", None, None, None),
]
INSTRUMENTS = [
    {
        "instrument_name": name, "kind": "future" if settled else "spot", "is_active": True, "tick_size": 0.5,
        "min_trade_amount": 0.1, "contract_size": 10.0, "base_currency": base, "counter_currency": quote,
        "quote_currency": quote, "instrument_type": "reversed" if settled == base else "linear",
        **({"settlement_currency": settled, "settlement_period": period, "expiration_timestamp": expiry}
           if settled else {}),
    }
    for name, base, quote, settled, period, expiry in LISTED
]  # fmt: skip


class Client:
    def resolve(self, *told: object) -> None:
        pass


@pytest.fixture(scope="module")
def oracle():
    """ccxt's own class, its markets read from the list that we read; no socket is opened."""
    exchange = ccxt.pro.deribit({"options": {"fetchMarkets": {"fetchAllMarkets": True}}})

    async def answered(request: dict) -> dict:
        return {"result": INSTRUMENTS}

    exchange.publicGetGetInstruments = answered
    coroutine = exchange.fetch_markets()
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    exchange.set_markets(ended.value.value)
    return exchange


def test_both_list_the_same_instruments(oracle) -> None:
    ours = {one.native: one for one in DERIBIT.read_instruments(json.dumps({"result": INSTRUMENTS}).encode())}
    assert set(ours) == {market["id"] for market in oracle.markets.values()}
    for market in oracle.markets.values():
        one = ours[market["id"]]
        assert (one.base, one.quote, bool(one.expiry)) == (market["base"], market["quote"], bool(market["contract"]))
        assert (one.expiry == "PERP", one.expiry.isdigit()) == (market["swap"], market["future"])
        assert (one.size_unit == "quote") == bool(market["inverse"])
        assert (float(one.tick), float(one.lot)) == (market["precision"]["price"], market["precision"]["amount"])
        assert float(one.multiplier) == market["contractSize"]
        if market["future"]:
            assert one.expiry == market["expiryDatetime"][:10].replace("-", "")


decimals = st.decimals(Decimal("0.000001"), Decimal("999999"), places=6, allow_nan=False).map(float)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "trade_seq": st.integers(1, 2**53),
            "trade_id": st.integers(1, 2**40).map(str),
            "timestamp": st.integers(1_550_000_000_000, 1_900_000_000_000),
            "price": decimals,
            "amount": decimals,
            "direction": st.sampled_from(["buy", "sell"]),
        }
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=100)
@given(st.sampled_from([name for name, *_ in LISTED]), rows)
def test_both_read_the_same_trades(oracle, symbol: str, told: list[dict]) -> None:
    told = [{**row, "instrument_name": symbol} for row in told]
    frame = {"jsonrpc": "2.0", "method": "subscription"}
    frame["params"] = {"channel": f"trades.{symbol}.100ms", "data": told}
    ours = DERIBIT.parse(json.dumps(frame).encode(), 5)
    market = oracle.market(oracle.safe_symbol(symbol))
    for trade, row in zip(ours, told, strict=True):
        theirs = oracle.parse_trade(row, market)
        assert isinstance(trade, Trade)
        assert trade.id == row["trade_seq"]
        assert (trade.time, trade.side) == (theirs["timestamp"] * 1000, theirs["side"])
        assert (float(trade.price), float(trade.size)) == (theirs["price"], theirs["amount"])


def test_both_read_the_same_of_every_frame_of_the_fixture(oracle) -> None:
    read = []
    for frame in FRAMES[:8]:
        oracle.trades, oracle.bidsasks, oracle.ohlcvs, oracle.tickers = {}, {}, {}, {}
        oracle.handle_message(Client(), frame)
        channel = frame["params"]["channel"].split(".")
        symbol = oracle.safe_symbol(channel[2] if channel[0] == "chart" else channel[1])
        for at, message in enumerate(DERIBIT.parse(json.dumps(frame).encode(), 5)):
            read.append(type(message))
            if isinstance(message, Trade):
                theirs = oracle.trades[symbol][at]
                assert (float(message.price), float(message.size)) == (theirs["price"], theirs["amount"])
                assert (message.side, message.time) == (theirs["side"], theirs["timestamp"] * 1000)
            elif isinstance(message, Quote):
                theirs = oracle.bidsasks[symbol]
                sides = [(theirs[side] or 0, theirs[f"{side}Volume"] or 0) for side in ("bid", "ask")]
                ours = [(message.bid, message.bid_size), (message.ask, message.ask_size)]
                assert [(float(price), float(size)) for price, size in ours] == sides
                assert message.time == theirs["timestamp"] * 1000
            elif isinstance(message, Kline):
                prices = [float(text) for text in (message.open, message.high, message.low, message.close)]
                assert oracle.ohlcvs[symbol][message.timeframe][0][:5] == [message.start // 1000, *prices]
            elif isinstance(message, MarkPrice):
                theirs = oracle.tickers[symbol]
                assert (float(message.mark), float(message.index)) == (theirs["markPrice"], theirs["indexPrice"])
    assert read == [Trade, Trade, Trade, Trade, Quote, Quote, Kline, MarkPrice, MarkPrice]


def test_both_name_timeframes_alike(oracle) -> None:
    perpetual = Instrument.parse("deribit:BTC-USD-PERP")
    for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "6h", "12h", "1d"):
        resolution = oracle.timeframes[name]
        assert DERIBIT.stream(perpetual, f"kline_{name}") == f"chart.trades.BTC-PERPETUAL.{resolution}"
        assert DERIBIT.klines_request(perpetual, name, 0, 10**15).params["resolution"] == resolution


@pytest.mark.sample
def test_of_captured_options_nothing_is_guessed(short_capture) -> None:
    told: dict[str, int] = {}
    for frame in short_capture("DERIBIT.ws.1.0"):
        try:
            messages = DERIBIT.parse(frame, 5)
        except MalformedFrame as refused:
            reason = str(refused).partition(":")[0]
            told[reason] = told.get(reason, 0) + 1
        else:
            (ack,) = messages
            assert isinstance(ack, Ack)
            assert (ack.id, len(ack.streams or ())) == (0, 30)
    # The one without a reason of its own is the request that the capture begins with.
    assert told == {
        "options are not covered": 135,
        "a notification without parameters, or with members of a reply": 1,
    }

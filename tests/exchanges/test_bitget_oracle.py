"""Bitget as ccxt reads it: the same JSON through its parsers, which run against the venue every day."""

import ccxt.pro
import msgspec
import pytest

from exchanges.messages import Kline, MarkPrice, Quote, Trade
from exchanges.registry import venue

MARKETS = {"SPOT": venue("bitget"), "USDT-FUTURES": venue("bitget-usdt")}
ROWS = [
    {"tradeId": "1075199767891652609", "price": "29376.5", "size": "6.035", "side": "Buy", "ts": "1692073521002",
     "symbol": "BTCUSDT"},
    {"tradeId": "1075199767891652608", "price": "29376.50", "size": "0.0010", "side": "Sell", "ts": "1692073521001",
     "symbol": "BTCUSDT"},
]  # fmt: skip
CANDLES = [
    ["1701871620000", "44080.23", "44080.23", "44028.5", "44028.51", "9.9287", "437404.105512", "437404.105512"],
    ["1701871680000", "44028.51", "44108.11", "44028.5", "44108.11", "17.139", "755436.870643", "755436.870643"],
]
TICKER = {
    "instId": "BTCUSDT", "lastPr": "43480.4", "bidPr": "43476.3", "askPr": "43476.8", "bidSz": "0.1",
    "askSz": "3.055", "open24h": "42252.3", "high24h": "44518.2", "low24h": "41387.0", "change24h": "0.03875",
    "fundingRate": "0.000096", "nextFundingTime": "1701849600000", "markPrice": "43476.4", "indexPrice": "43478.4",
    "baseVolume": "120187.104", "quoteVolume": "5167385048.693", "openUtc": "44071.4", "symbolType": "1",
    "symbol": "BTCUSDT", "deliveryPrice": "0", "ts": "1701843962811",
}  # fmt: skip


@pytest.fixture(scope="module")
def oracle():
    return ccxt.pro.bitget()


def answer(data: object) -> bytes:
    return msgspec.json.encode({"code": "00000", "msg": "success", "data": data})


def told(kind: str, channel: str, data: object) -> list:
    arg = {"instType": kind, "channel": channel, "instId": "BTCUSDT"}
    frame = {"action": "snapshot", "arg": arg, "data": data, "ts": 1701910980730}
    return MARKETS[kind].parse(msgspec.json.encode(frame), 5)


def market(oracle, kind: str) -> dict:
    spot = kind == "SPOT"
    return oracle.safe_market_structure(
        {"id": "BTCUSDT", "symbol": "BTC/USDT" if spot else "BTC/USDT:USDT", "base": "BTC", "quote": "USDT",
         "type": "spot" if spot else "swap", "spot": spot, "swap": not spot, "contract": not spot, "inverse": False}
    )  # fmt: skip


@pytest.mark.parametrize("kind", MARKETS)
def test_trades_of_pages_and_frames_are_as_ccxt_reads_them(oracle, kind: str) -> None:
    ours, known = MARKETS[kind], market(oracle, kind)
    page = ours.read_trades(ours.instrument("BTCUSDT"), "trade", answer(ROWS), 1)
    rows = [{**row, "side": row["side"].lower()} for row in ROWS]
    frames = told(kind, "trade", rows)
    assert page is not None
    assert len(page) == len(frames) == 2
    for at, trade in enumerate(frames):
        assert isinstance(trade, Trade)
        of_page = (page.ids[at], page.ts[at], page.price[at], page.size[at], {1: "buy", -1: "sell"}[page.side[at]])
        of_frame = (trade.id, trade.time, float(trade.price), float(trade.size), trade.side)
        for wanted in (oracle.parse_trade(ROWS[1 - at], known), oracle.parse_ws_trade(rows[1 - at], known)):
            values = (
                int(wanted["id"]),
                wanted["timestamp"] * 1000,
                wanted["price"],
                wanted["amount"],
                wanted["side"],
            )
            assert of_page == of_frame == values


@pytest.mark.parametrize("kind", MARKETS)
def test_candles_of_pages_and_frames_are_as_ccxt_reads_them(oracle, kind: str) -> None:
    ours, known = MARKETS[kind], market(oracle, kind)
    page = ours.read_klines(ours.instrument("BTCUSDT"), "1m", answer(CANDLES)).rows
    for raw, row, kline in zip(CANDLES, page, told(kind, "candle1m", CANDLES), strict=True):
        assert isinstance(kline, Kline)
        texts = (kline.open, kline.high, kline.low, kline.close, kline.volume)
        assert row[:7] == (kline.start, *texts, kline.quote_volume)
        values = [kline.start // 1000, *(float(text) for text in texts)]
        assert values == oracle.parse_ohlcv(raw, known) == oracle.parse_ws_ohlcv(raw, known)


def test_the_ticker_is_as_ccxt_reads_it(oracle) -> None:
    oracle.set_markets([market(oracle, "USDT-FUTURES")])
    quote, mark = told("USDT-FUTURES", "ticker", [TICKER])
    arg = {"instType": "USDT-FUTURES", "channel": "ticker", "instId": "BTCUSDT"}
    theirs = oracle.parse_ws_ticker({"arg": arg, "data": [TICKER], "ts": 1701910980730})
    assert isinstance(quote, Quote)
    assert isinstance(mark, MarkPrice)
    assert quote.time == theirs["timestamp"] * 1000
    assert [float(text) for text in (quote.bid, quote.bid_size, quote.ask, quote.ask_size)] == [
        theirs[member] for member in ("bid", "bidVolume", "ask", "askVolume")
    ]
    assert (mark.time, mark.sent) == (quote.time, quote.sent)


@pytest.mark.parametrize("kind", MARKETS)
def test_instruments_are_as_ccxt_reads_them(oracle, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spot = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "pricePrecision": "2",
            "quantityPrecision": "6", "status": "online"}  # fmt: skip
    future = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "supportMarginCoins": ["USDT"],
              "priceEndStep": "5", "volumePlace": "3", "pricePlace": "1", "sizeMultiplier": "0.001",
              "symbolType": "perpetual", "symbolStatus": "normal", "deliveryTime": ""}  # fmt: skip
    row = spot if kind == "SPOT" else future
    known = ccxt.bitget({"options": {"fetchMarkets": {"types": ["spot" if kind == "SPOT" else "swap"]}}})
    given = {"data": [row]}
    monkeypatch.setattr(known, "publicSpotGetV2SpotPublicSymbols", lambda params: given, raising=False)
    monkeypatch.setattr(known, "publicMarginGetV2MarginCurrencies", lambda params: {"data": []}, raising=False)
    monkeypatch.setattr(
        known,
        "publicMixGetV2MixMarketContracts",
        lambda params: given if params["productType"] == kind else {"data": []},
        raising=False,
    )
    (theirs,) = known.fetch_default_markets({})
    (ours,) = MARKETS[kind].read_instruments(answer([row]))
    assert (ours.native, ours.base, ours.quote) == (theirs["id"], theirs["base"], theirs["quote"])
    assert (ours.expiry == "PERP", ours.expiry == "") == (theirs["swap"], theirs["spot"])
    assert float(ours.lot) == theirs["precision"]["amount"]
    assert float(ours.tick) == theirs["precision"]["price"]
    assert float(ours.multiplier) == (theirs["contractSize"] or 1)

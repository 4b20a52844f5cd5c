"""OKX as ccxt reads it: the same JSON through its parsers, which run against the venue every day."""

import ccxt
import msgspec
import pytest

from core.instruments import Instrument
from exchanges.messages import Kline, MarkPrice, Trade
from exchanges.registry import venue

OKX = venue("okx")
LISTED = [
    {"instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT", "state": "live",
     "tickSz": "0.1", "lotSz": "0.00000001", "minSz": "0.00001", "lever": "10", "ctVal": "", "ctMult": ""},
    {"instId": "BTC-USD-SWAP", "instType": "SWAP", "uly": "BTC-USD", "settleCcy": "BTC", "state": "live",
     "tickSz": "0.1", "lotSz": "1", "minSz": "1", "ctVal": "100", "ctMult": "1", "ctType": "inverse"},
    {"instId": "ETH-USDT-SWAP", "instType": "SWAP", "uly": "ETH-USDT", "settleCcy": "USDT", "state": "live",
     "tickSz": "0.01", "lotSz": "0.01", "minSz": "0.01", "ctVal": "0.1", "ctMult": "1", "ctType": "linear"},
]  # fmt: skip
ROWS = [
    {"side": "sell", "sz": "0.03", "px": "7.068", "tradeId": "15826758", "ts": "1621446178320"},
    {"side": "sell", "sz": "3", "px": "7.069", "tradeId": "15826757", "ts": "1621446178316"},
    {"side": "buy", "sz": "0.11950100", "px": "7.0650", "tradeId": "15826756", "ts": "1621446178066"},
]
CANDLES = [
    ["1678928760000", "24341.4", "24344", "24313.2", "24323", "628", "2.5819", "62800", "0"],
    ["1678928700000", "24324.1", "24347.6", "24321.7", "24341.4", "2565", "10.5401", "256500", "1"],
]


@pytest.fixture(scope="module")
def oracle():
    exchange = ccxt.okx()
    exchange.set_markets([exchange.parse_market(row) for row in LISTED])
    return exchange


def answer(data: object) -> bytes:
    return msgspec.json.encode({"code": "0", "msg": "", "data": data})


@pytest.mark.parametrize("row", LISTED, ids=lambda row: row["instId"])
def test_instruments_are_as_ccxt_reads_them(oracle, row) -> None:
    (ours,) = OKX.read_instruments(answer([row]))
    theirs = oracle.markets_by_id[row["instId"]][0]
    assert (ours.native, ours.base, ours.quote) == (theirs["id"], theirs["base"], theirs["quote"])
    assert (float(ours.tick), float(ours.lot)) == (theirs["precision"]["price"], theirs["precision"]["amount"])
    assert (ours.expiry == "PERP", ours.expiry == "") == (theirs["swap"], theirs["spot"])
    assert float(ours.multiplier) == (theirs["contractSize"] or 1)


@pytest.mark.parametrize("symbol", [row["instId"] for row in LISTED])
def test_trades_of_pages_and_frames_are_as_ccxt_reads_them(oracle, symbol: str) -> None:
    rows = [{**row, "instId": symbol} for row in ROWS]
    theirs = [oracle.parse_trade(row) for row in reversed(rows)]
    page = OKX.read_trades(OKX.instrument(symbol), "trade", answer(rows), 1)
    frame = {"arg": {"channel": "trades-all", "instId": symbol}, "data": rows[::-1]}
    told = [trade for trade in OKX.parse(msgspec.json.encode(frame), 1) if isinstance(trade, Trade)]
    assert page is not None
    assert len(page) == len(told) == len(theirs)
    for at, (trade, wanted) in enumerate(zip(told, theirs, strict=True)):
        of_page = (page.ids[at], page.ts[at], page.price[at], page.size[at], {1: "buy", -1: "sell"}[page.side[at]])
        of_frame = (trade.id, trade.time, float(trade.price), float(trade.size), trade.side)
        time = wanted["timestamp"] * 1000
        assert of_page == of_frame == (int(wanted["id"]), time, wanted["price"], wanted["amount"], wanted["side"])


@pytest.mark.parametrize("symbol", [row["instId"] for row in LISTED])
def test_candles_of_pages_and_frames_are_as_ccxt_reads_them(oracle, symbol: str) -> None:
    instrument = OKX.instrument(symbol)
    theirs = [oracle.parse_ohlcv(row, oracle.markets_by_id[symbol][0]) for row in reversed(CANDLES)]
    page = OKX.read_klines(instrument, "1m", answer(CANDLES)).rows
    frame = {"arg": {"channel": "candle1m", "instId": symbol}, "data": CANDLES[::-1]}
    told = [kline for kline in OKX.parse(msgspec.json.encode(frame), 1) if isinstance(kline, Kline)]
    for row, kline, wanted in zip(page, told, theirs, strict=True):
        values = [float(text) for text in (kline.open, kline.high, kline.low, kline.close)]
        assert [kline.start // 1000, *values] == wanted[:5]
        assert row[:7] == (
            kline.start, kline.open, kline.high, kline.low, kline.close, kline.volume, kline.quote_volume
        )  # fmt: skip
        # Of derivatives ccxt gives base units; ours are contracts, as the trades are.
        assert instrument.expiry or float(kline.volume) == wanted[5]


def test_funding_is_as_ccxt_reads_it(oracle) -> None:
    row = {"fundingRate": "0.0001875391284828", "fundingTime": "1700726400000", "instId": "BTC-USD-SWAP",
           "nextFundingRate": "0.0002608059239328", "nextFundingTime": "1700755200000",
           "ts": "1700724675402"}  # fmt: skip
    frame = {"arg": {"channel": "funding-rate", "instId": "BTC-USD-SWAP"}, "data": [row]}
    (mark,) = OKX.parse(msgspec.json.encode(frame), 1)
    theirs = oracle.parse_funding_rate(row)
    assert isinstance(mark, MarkPrice)
    assert mark.instrument == Instrument("okx", "BTC", "USD", "PERP").name
    assert float(mark.funding_rate or "nan") == theirs["fundingRate"]
    assert mark.next_funding == theirs["fundingTimestamp"] * 1000

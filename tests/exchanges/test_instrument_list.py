"""One odd row of a venue's list costs that row; a list that is odd as a whole is refused."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.errors import MalformedFrame
from core.instruments import Instrument
from exchanges.instrument_list import listed
from exchanges.registry import venue

ASSETS = st.sampled_from("ABCDEFG")


def read(row: tuple[str, int]) -> Instrument | None:
    asset, tick = row
    if tick == 0:
        raise MalformedFrame(f"tick of {asset}")
    return None if tick < 0 else Instrument("okx", asset, "USDT", "", asset, Decimal(tick))


@given(st.lists(st.tuples(ASSETS, st.integers(-1, 2))))
def test_what_is_sound_and_means_one_instrument_is_left_and_the_rest_is_told_once(rows) -> None:
    ticks = {asset: {tick for one, tick in rows if one == asset and tick > 0} for asset, _ in rows}
    sound = {asset for asset, told in ticks.items() if len(told) == 1}
    odd = {asset for asset, told in ticks.items() if len(told) > 1} | {
        f"row {one}" for one, tick in rows if tick == 0
    }
    with capture_logs() as logs:
        if len(odd) > len(sound):
            with pytest.raises(MalformedFrame):
                listed(rows, read, lambda row: f"row {row[0]}", "OKX")
            assert logs == []
            return
        found = listed(rows, read, lambda row: f"row {row[0]}", "OKX")
    assert [one.base for one in found] == list(dict.fromkeys(one for one, tick in rows if tick > 0 and one in sound))
    assert [(log["log_level"], log["venue"], log["count"]) for log in logs] == [("warning", "OKX", len(odd))] * bool(
        odd
    )
    assert {name.removeprefix("okx:").removesuffix("-USDT") for log in logs for name in log["instruments"]} == odd


def test_without_rows_a_list_is_empty_and_a_repeated_instrument_stands_once() -> None:
    btc = Instrument.parse("okx:BTC-USDT")
    assert listed([], read, str, "OKX") == []
    assert listed([None], lambda _: None, str, "OKX") == []
    assert listed([btc, None, btc], lambda row: row, str, "OKX") == [btc]


def _okx(symbol: str, kind: str = "SWAP") -> dict[str, str]:
    return {"instId": symbol, "instType": kind, "state": "live", "tickSz": "0.1", "lotSz": "1", "ctVal": "1",
            "ctMult": "1", "ctType": "linear"}  # fmt: skip


def _deribit(symbol: str, **changed: Any) -> dict[str, Any]:
    return {"instrument_name": symbol, "kind": "future", "is_active": True, "tick_size": 0.5, "contract_size": 10,
            "min_trade_amount": 10, "instrument_type": "reversed"} | changed  # fmt: skip


def _bybit(symbol: str, delivery: str) -> dict[str, Any]:
    return {"symbol": symbol, "status": "Trading", "baseCoin": "BTC", "quoteCoin": "USDT", "deliveryTime": delivery,
            "contractType": "LinearFutures", "priceFilter": {"tickSize": "0.1"},
            "lotSizeFilter": {"qtyStep": "0.1"}}  # fmt: skip


def _page(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows, "nextPageCursor": ""}}


@pytest.mark.parametrize(
    ("name", "answer", "odd", "left"),
    [
        (
            "okx",
            {"code": "0", "msg": "", "data": [_okx("BTC-USDT-SWAP"), _okx("ETH-USDT-SWAP", "SPOT")]},
            "ETH-USDT-SWAP",
            "okx:BTC-USDT-PERP",
        ),
        *(
            ("deribit", {"result": [_deribit("BTC-PERPETUAL"), row]}, "BTC-27MAR26", "deribit:BTC-USD-PERP")
            for row in (
                _deribit("BTC-27MAR26", contract_size=0),
                _deribit("BTC-27MAR26", tick_size=None),
                _deribit("BTC-27MAR26", instrument_type="linear"),
            )
        ),
        (
            "bybit-linear",
            _page([_bybit("BTCUSDT-27MAR26", "1774598400000"), _bybit("BTCUSDT-26JUN26", "0")]),
            "BTCUSDT-26JUN26",
            "bybit:BTC-USDT-20260327",
        ),
    ],
)
def test_an_odd_row_is_left_out_and_named(name: str, answer: Any, odd: str, left: str) -> None:
    with capture_logs() as logs:
        found = venue(name).read_instruments(msgspec.json.encode(answer))
    assert [one.name for one in found] == [left]
    assert [log["instruments"] for log in logs] == [[odd]]

from collections.abc import Callable

import pytest

from exchanges.messages import Quote, Trade
from exchanges.registry import venue

SPOT, USDM = venue("binance"), venue("binance-usdm")


@pytest.mark.sample
def test_every_captured_frame_of_spot_is_read(spot_capture: list[bytes]) -> None:
    trades = [m for frame in spot_capture if b"@trade" in frame for m in SPOT.parse(frame, 5)]
    assert len(trades) == 19_904
    ids = [trade.id for trade in trades if isinstance(trade, Trade)]
    assert ids == list(range(ids[0], ids[0] + 19_904))
    assert trades[0] == Trade(
        "binance:BTC-USDT",
        "trade",
        3_735_683_259,
        1_723_161_255_342_000,
        1_723_161_255_343_000,
        "61837.63000000",
        "0.02000000",
        "sell",
        1,
    )
    others = [m for frame in spot_capture if b"@trade" not in frame for m in SPOT.parse(frame, 5)]
    assert len(others) == 73_174
    assert all(isinstance(message, Quote) for message in others)


@pytest.mark.sample
def test_every_captured_frame_of_both_markets_is_read(short_capture: Callable[[str], list[bytes]]) -> None:
    for market, file, counted in (
        (SPOT, "BINANCE.ws.1.0", {"Trade": 2, "Kline": 2, "Quote": 84}),
        (USDM, "BINANCE_FUTURES.ws.1.0", {"Trade": 91, "Kline": 67, "Quote": 613}),
    ):
        counts: dict[str, int] = {}
        for frame in short_capture(file):
            for message in market.parse(frame, 5):
                counts[type(message).__name__] = counts.get(type(message).__name__, 0) + 1
        assert counts == counted

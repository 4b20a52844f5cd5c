from collections.abc import Callable

import pytest

from exchanges.messages import Ack, Trade
from exchanges.registry import venue

OKX = venue("okx")


@pytest.mark.sample
def test_every_captured_frame_is_read(short_capture: Callable[[str], list[bytes]]) -> None:
    frames = [frame for frame in short_capture("OKX.ws.1.0") if b'"op"' not in frame[:8]]
    messages = [message for frame in frames for message in OKX.parse(frame, 5)]
    trades = [message for message in messages if isinstance(message, Trade)]
    acks = {stream for message in messages if isinstance(message, Ack) for stream in message.streams or ()}
    assert (len(trades), len(messages)) == (74, 92)
    assert acks == {
        f"{channel}:{symbol}"
        for channel in ("tickers", "trades", "books")
        for symbol in ("BTC-USD-220527", "UNI-USD-SWAP", "BTC-USDT")
    }
    assert trades[0] == Trade(
        "okx:BTC-USD-20220527",
        "merged",
        7849,
        1_652_459_199_958_000,
        1_652_459_199_958_000,
        "30218.8",
        "1",
        "buy",
        1,
    )
    assert {trade.instrument for trade in trades} <= {
        "okx:BTC-USD-20220527",
        "okx:UNI-USD-PERP",
        "okx:BTC-USDT",
    }
    for name in {trade.instrument for trade in trades}:
        ids = [trade.id for trade in trades if trade.instrument == name]
        assert ids == sorted(set(ids))

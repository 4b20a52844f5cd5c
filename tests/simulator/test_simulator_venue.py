"""What the simulator sends, read by the venue's own reader."""

import pytest

from core.errors import MalformedFrame
from core.timeframes import MINUTE
from exchanges.messages import Trade
from exchanges.registry import venue
from simulator.disturbance import Disturbance, Truth, disturb
from simulator.frames import frames
from simulator.market import InventedMarket


def test_the_venue_reads_every_trade_and_refuses_all_garbage() -> None:
    binance = venue("simulated")
    truth = Truth()
    read = 0
    for frame in disturb(frames(InventedMarket(6), 3 * MINUTE), Disturbance(1, garbage=0.1), truth):
        if frame.trade_id < 0:
            with pytest.raises(MalformedFrame):
                binance.parse(frame.payload, frame.received)
            continue
        (message,) = binance.parse(frame.payload, frame.received)
        assert isinstance(message, Trade)
        assert (message.instrument, message.id, message.time) == (frame.instrument, frame.trade_id, frame.ts)
        read += 1
    assert read > 1_000
    assert len(truth.garbage) > 100

"""Real frames of 2021, in short names."""

import ast
from collections import Counter
from collections.abc import Callable

import pytest

from exchanges.messages import Quote, Trade
from exchanges.registry import venue


@pytest.mark.sample
def test_every_captured_frame_of_upbit_is_read(short_capture: Callable[[str], list[bytes]]) -> None:
    upbit = venue("upbit")
    # The first line is what was asked; frames are written as Python writes bytes.
    frames = [ast.literal_eval(line.decode()) for line in short_capture("UPBIT.ws.62.0")[1:]]
    messages = [message for frame in frames for message in upbit.parse(frame, 5)]
    assert len(messages) == len(frames) == 449
    assert Counter(type(message) for message in messages) == {Trade: 304, Quote: 145}
    assert messages[0] == Trade(
        "upbit:LAMB-KRW",
        "execution",
        1_618_678_262_000_003,
        1_618_678_262_000_000,
        1_618_678_262_712_000,
        "127.0",
        "46.48838371",
        "buy",
        1,
    )
    trades = [message for message in messages if isinstance(message, Trade)]
    assert len({(trade.instrument, trade.id) for trade in trades}) == 304

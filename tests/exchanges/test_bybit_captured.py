"""Real frames of 2021, in a protocol that is gone."""

import pytest

from core.errors import MalformedFrame
from exchanges.registry import venue


@pytest.mark.sample
@pytest.mark.parametrize("name", ["bybit", "bybit-linear", "bybit-inverse"])
def test_no_frame_of_bybits_old_protocol_is_guessed_at(name: str, short_capture) -> None:
    market, refused = venue(name), 0
    frames = [line for line in short_capture("BYBIT.ws.25.0") if b'"topic"' in line or b'"success"' in line]
    for frame in frames:
        with pytest.raises(MalformedFrame):
            market.parse(frame, 5)
        refused += 1
    assert refused == 3342

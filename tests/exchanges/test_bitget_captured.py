from collections.abc import Callable

import pytest

from core.errors import MalformedFrame
from exchanges.registry import venue


@pytest.mark.sample
@pytest.mark.parametrize(("name", "file"), [("bitget", "BITGET.ws.1.0"), ("bitget-usdt", "BITGET.ws.2.0")])
def test_frames_of_version_1_are_refused_and_none_is_guessed(
    short_capture: Callable[[str], list[bytes]], name: str, file: str
) -> None:
    market, frames = venue(name), [frame for frame in short_capture(file) if b'"op"' not in frame[:8]]
    assert len(frames) > 400
    for frame in frames:
        with pytest.raises(MalformedFrame):
            market.parse(frame, 5)

"""The spread that a strategy sees is the one that was recorded when its candle closed, however the journal is cut."""

import json

import pytest

from core.candles import Candle
from core.records import Kind, Record, RecordBlock
from core.settings import CandleSettings
from core.timeframes import TIMEFRAMES
from dataflows.decide import Placed, decide
from dataflows.decode import Arrivals, Decoder
from dataflows.steps import check_continuity, form_candles
from strategies.strategy import Decision, Strategy

NAME = "binance:BTC-USDT"
START = 1_767_225_600_000_000


class Watching(Strategy[tuple[float | None, ...]]):
    """Remember every spread that was shown."""

    name = "watching"

    @property
    def warmup(self) -> int:
        return 0

    def remember(self) -> tuple[float | None, ...]:
        return ()

    def decide(
        self, memory: tuple[float | None, ...], candle: Candle
    ) -> tuple[tuple[float | None, ...], list[Decision]]:
        return (*memory, candle.spread), []


def records() -> list[Record]:
    frames = []
    for second in range(0, 190, 2):
        ms = START // 1000 + second * 1000
        trade = {"e": "trade", "E": ms, "s": "BTCUSDT", "t": second + 1, "p": "10", "q": "1", "T": ms, "m": True}
        ask = f"{11 + second // 60 * 0.5:.1f}"
        quote = {"u": second + 1, "s": "BTCUSDT", "b": "10.0", "B": "1", "a": ask, "A": "1"}
        for at, told in ((ms * 1000, trade | {"M": True}), (ms * 1000 + 1000, quote)):
            frames.append(Record(Kind.FRAME, at, json.dumps(told).encode()))
    return frames


@pytest.mark.parametrize("size", [1, 3, 17, 1000])
def test_the_spread_of_the_close(size: int) -> None:
    settings = CandleSettings(lateness_ms=0)
    placed = [Placed(Watching(), timeframe, (NAME,)) for timeframe in (TIMEFRAMES["1m"], TIMEFRAMES["3m"])]
    decoder, state, known, series, deciding = Decoder({"f": "binance"}), None, None, None, None
    held = records()
    for at in range(0, len(held), size):
        state, found = decoder(state, RecordBlock.of("f", at, held[at : at + size]))
        for arrivals in [one for one in found if isinstance(one, Arrivals)]:
            known, checked = check_continuity(known, arrivals, settings.lateness_ms)
            for one in checked:
                series, advanced = form_candles(series, one, ["1m", "3m"], settings.lateness_ms)
                for step in advanced:
                    deciding, _ = decide(deciding, step, placed, lambda *asked: [])
    assert deciding is not None
    minutes, larger = (run.state.memory for run in deciding.runs.values())
    assert minutes == pytest.approx((1.0, 1.5, 2.0))
    assert larger == pytest.approx((2.0,))


def test_without_quotes_there_is_no_spread() -> None:
    decoder = Decoder({"f": "binance"})
    _, found = decoder(None, RecordBlock.of("f", 0, records()[::2]))
    assert all(
        one.quotes is None or one.quotes.best(NAME, 10**9) is None for one in found if isinstance(one, Arrivals)
    )

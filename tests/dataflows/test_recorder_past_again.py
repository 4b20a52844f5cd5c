"""The past that is fetched beside the live trades, where ids do not chain: what is recorded is not put again."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "simulator"))
from breaking import clear, play
from recording_process import FEED, Recorded, recording
from served import every_kind_hour, served

from core.records import Kind, RecordBlock
from core.settings import FeedSettings, Settings
from core.timeframes import MINUTE
from core.trades import TradeBatch
from dataflows.recorder import subscriptions
from exchanges.decode import to_batches
from exchanges.registry import venue

ETH = "bybit:ETH-USDT-PERP"


def live(recorded):
    records = recorded.more().of(Kind.FRAME)
    batches = to_batches(venue("bybit-linear"), RecordBlock.of(FEED, 0, records)).batches if records else []
    return {i for batch in batches for i in batch.ids.tolist()}


def fetched(recorded):
    batches = [TradeBatch.from_ipc(record.payload) for record in recorded.more().of(Kind.TRADES)]
    return [i for batch in batches for i in batch.ids.tolist()]


def test_a_past_that_is_fetched_later_leaves_out_what_was_recorded_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(subscriptions, "TRY_AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(subscriptions, "_PAUSE_SECONDS", 0.01)
    tape = every_kind_hour()
    with served(tape, (tape.start // MINUTE + 20) * MINUTE) as market:
        urls = {"websocket_url": f"ws://127.0.0.1:{market.port}", "rest_url": f"http://127.0.0.1:{market.port}"}
        feed = FeedSettings(name=FEED, venue="bybit-linear", instruments=(ETH,), history_minutes=10, **urls)
        settings = Settings(data=tmp_path, feeds=(feed,))
        play(market, {"fault": "status", "status": 503, "paths": ["*/recent-trade"]})
        with recording(settings) as component, Recorded(settings) as recorded:
            recorded.wait_for(lambda r: [mark.mark for mark in r.marks()] == ["connected"])
            recorded.wait_for(lambda _: component.health().state == "degraded")

            def some(recorded):
                market.advance(1)
                market.sent_all()
                return len(live(recorded)) >= 50

            recorded.wait_for(some)
            heard = live(recorded)
            assert fetched(recorded) == []
            clear(market)
            recorded.wait_for(fetched)
            recorded.wait_for(lambda _: component.health().state == "healthy")
            found = fetched(recorded)
    assert len(found) == len(set(found)) > 0
    assert not heard & set(found)

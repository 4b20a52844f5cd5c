"""The market dataflow: journal → decode → continuity → candles → strategies → lake and ledger.

Plain functions above (`decode`, `steps`, `decide`), their wiring here. Items are columns of some thousand trades
of one instrument, because Bytewax's cost is per item; everything is keyed by feed first, by instrument then.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from core.settings import CandleSettings, QuoteSettings
from core.timeframes import BASE
from dataflows.decide import History, Placed, decide
from dataflows.decode import Arrivals, Decoder, Reached
from dataflows.lake_sink import PARTITION, LakeRows, LakeSink
from dataflows.ledger_sink import PARTITION as LEDGER
from dataflows.ledger_sink import LedgerSink
from dataflows.source import JournalSource
from dataflows.steps import Advanced, check_continuity, form_candles
from dataflows.value_step import value_flat_map
from dataflows.watch import Decide, Watch

FLOW = "market"


def market(
    source: JournalSource,
    feeds: Mapping[str, str],
    candles: CandleSettings,
    quotes: QuoteSettings,
    placed: Sequence[Placed],
    history: History,
    lake: LakeSink,
    ledger: LedgerSink,
    watch: Watch | None = None,
) -> Dataflow:
    """Wire the dataflow. ``feeds`` maps each feed to the venue whose dialect it speaks."""
    lateness = candles.lateness_ms * 1_000
    timeframes = sorted({*candles.timeframes, *(one.timeframe.name for one in placed)})

    flow = Dataflow(FLOW)
    blocks = op.input("journal", flow, source)
    by_feed = op.key_on("by_feed", blocks, lambda block: block.feed)
    decoded = value_flat_map("decode", by_feed, Decoder(feeds, quotes.interval_ms * 1_000))
    arrivals = op.filter_map("arrivals", decoded, _of_instrument)
    noted = op.filter_map("noted", decoded, lambda item: None if isinstance(item[1], Arrivals | Reached) else item)
    reached = op.filter_map("reached", decoded, _position)
    checked = value_flat_map("continuity", arrivals, partial(check_continuity, lateness=lateness))
    advanced = value_flat_map("candles", checked, partial(form_candles, timeframes=timeframes, lateness=lateness))
    deciding: Decide = partial(decide, placed=placed, history=history)
    if watch is not None:
        advanced = op.inspect("watched", advanced, watch.advanced)
        deciding = watch.deciding(deciding)
    wanted = {BASE[1].name, *(one.timeframe.name for one in placed)}
    closing = op.filter("closing", advanced, partial(_closes, timeframes=wanted))
    # A user's strategy may change its memory in place after all: this one copies.
    outcomes = op.stateful_flat_map("strategies", closing, deciding)

    op.output("lake", op.merge("lake_input", op.filter_map("lake_rows", advanced, _lake_rows), reached), lake)
    told = op.filter_map("told", advanced, lambda item: item[1] if _tells(item[1]) else None)
    rows: Any = op.merge("ledger_rows", op.key_rm("noted_rows", noted), told, op.key_rm("outcome_rows", outcomes))
    op.output("ledger", op.map("ledger_keyed", rows, _to_ledger), ledger)
    return flow


def _of_instrument(item: tuple[str, Any]) -> tuple[str, Arrivals] | None:
    return (item[1].instrument, item[1]) if isinstance(item[1], Arrivals) else None


def _closes(item: tuple[str, Advanced], timeframes: Collection[str]) -> bool:
    advanced = item[1]
    if advanced.larger or advanced.told is not None:
        return True
    return any(batch.timeframe in timeframes for batch in advanced.base if len(batch))


def _lake_rows(item: tuple[str, Advanced]) -> tuple[str, LakeRows] | None:
    advanced = item[1]
    if not advanced.trades and not advanced.base:
        return None
    return PARTITION, LakeRows(advanced.feed, advanced.trades, advanced.base)


def _position(item: tuple[str, Any]) -> tuple[str, LakeRows] | None:
    if not isinstance(item[1], Reached):
        return None
    return PARTITION, LakeRows(item[1].feed, (), (), item[1].offset, item[1].told)


def _to_ledger(row: Any) -> tuple[str, Any]:
    return LEDGER, row


def _tells(advanced: Advanced) -> bool:
    return bool(advanced.gaps or advanced.coverage or advanced.dirty or advanced.unread or advanced.duplicates)

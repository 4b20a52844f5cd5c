"""Recorded tapes: the trades of recordings of raw frames, and of files of trades."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.instruments import Instrument
from core.records import Record, RecordBlock
from core.trades import TradeBatch
from exchanges.decode import to_batches
from exchanges.venue import Venue
from simulator.tapes.columns import MOST, ColumnsTape
from simulator.tapes.grid import finest, step_of
from storage.recordings import frames
from storage.trade_files import TradeFiles

_FRAMES = 8_192


def from_recordings(paths: Sequence[Path], venue: Venue, instruments: Sequence[Instrument] = ()) -> ColumnsTape:
    """Read recordings of a venue's raw frames; frames that tell no trade are left out.

    A trade that comes twice counts once; holes stay holes. Where an instrument has trades and aggregate trades, it
    is the trades that are played. ``instruments`` say the tick and lot of those that they name; others get the
    finest steps that their trades show. Raises `UserError` where a file cannot be read or there are no trades.
    """
    kept: dict[tuple[str, str], list[TradeBatch]] = {}
    count = 0
    for block in _blocks(frames(paths)):
        for batch in to_batches(venue, block).batches:
            kept.setdefault((batch.instrument, batch.id_space), []).append(batch)
            count += len(batch)
        if count > MOST:
            raise UserError(f"more than {MOST:,} trades do not fit into memory: name fewer files")
    batches = [
        TradeBatch.concat(parts)
        for (name, space), parts in kept.items()
        if space == "trade" or (name, "trade") not in kept
    ]
    known = {one.name: one for one in instruments}
    named = [known.get(batch.instrument) or Instrument.parse(batch.instrument) for batch in batches]
    native = [replace(one, native=one.native or venue.native(one)) for one in named]
    return _tape(native, batches)


def from_trade_files(paths: Sequence[Path], instrument: Instrument) -> ColumnsTape:
    """Read Parquet or CSV files of one instrument's trades (`storage.trade_files.TradeFiles`).

    Tick and lot, where the instrument has none, are the finest steps that its trades show; its native symbol is
    base and quote together. Raises `UserError` as that does.
    """
    files = TradeFiles(paths, instrument.name)
    try:
        if files.count > MOST:
            raise UserError(f"{files.count:,} trades do not fit into memory: name files of at most {MOST:,} together")
        trades = TradeBatch.concat(list(files.batches()))
    finally:
        files.close()
    native = instrument.native or f"{instrument.base}{instrument.quote}"
    return _tape([replace(instrument, native=native)], [trades])


def _tape(instruments: Sequence[Instrument], batches: Sequence[TradeBatch]) -> ColumnsTape:
    stepped = [
        replace(one, tick=one.tick or step_of(finest(batch.price)), lot=one.lot or step_of(finest(batch.size)))
        for one, batch in zip(instruments, batches, strict=True)
    ]
    return ColumnsTape(stepped, batches)


def _blocks(records: Iterator[Record]) -> Iterator[RecordBlock]:
    first = 0
    while some := list(islice(records, _FRAMES)):
        yield RecordBlock(
            "recording",
            first,
            np.array([one.kind for one in some], dtype=np.uint8),
            np.array([one.received_at for one in some], dtype=np.int64),
            np.array([len(one.payload) for one in some], dtype=np.int64),
            b"".join(one.payload + b"\n" for one in some),
        )
        first += len(some)

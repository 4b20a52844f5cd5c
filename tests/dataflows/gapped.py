"""Recordings with holes made on purpose, and the simulated exchange that still knows what is missing."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from urllib.parse import quote

import numpy as np
import psycopg
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1] / "simulator"))
from served import invented_hour, served

from core.records import Kind, Mark, Record, Reread
from core.settings import FeedSettings, LedgerSettings, Settings
from core.timeframes import MINUTE
from dataflows.running import run
from dataflows.system import opened
from simulator.bitget.frames import IDS
from simulator.faults.redacted_tape import RedactedTape
from storage import lake
from storage.data_folder import DataFolder
from storage.ledger.server import serve

SPACES = {"simulated": "trade", "okx": "trade", "deribit": "trade", "bitget": "execution", "bybit": "execution"}
MINUTES = 6
NATIVE = "BTCUSDT"


@dataclass
class Market:
    """A market of which some minutes have passed; ``tape`` can hide trades from REST."""

    served: object
    tape: RedactedTape

    def truth(self, venue):
        """Give the trades as the venue tells them."""
        trades = self.tape.tape.from_id(NATIVE, 0, 10**6, self.tape.start + MINUTES * MINUTE)
        ids = IDS.shown(trades.ids) if venue == "bitget" else trades.ids
        return replace(trades, instrument=f"{venue}:BTC-USDT", id_space=SPACES[venue], ids=ids, received=trades.ts)

    def hide(self, trades):
        """Let no client see these trades any more."""
        self.tape.hide(NATIVE, trades.ids)

    def settings(self, place, venue, port=None):
        """Give the settings of a place (`Places`, or a data folder) with one feed at this market's address."""
        data, ledger = place if isinstance(place, tuple) else (place, LedgerSettings())
        at = f"http://127.0.0.1:{port or self.served.port}"
        feed = FeedSettings(
            name="f", venue=venue, instruments=(f"{venue}:BTC-USDT",), rest_url=at + _PATHS.get(venue, "")
        )
        return Settings(data=data, ledger=ledger, strategies=(), feeds=(feed,))

    def candles(self):
        """Give the minutes by their start, as `_values` does; the first, which has no beginning, is left out."""
        start = self.tape.start // MINUTE * MINUTE
        found = self.tape.klines(NATIVE, "1m", start, start + MINUTES * MINUTE).candles()
        return {c.start: _values(c) for c in found[1:]}


_PATHS = {"deribit": "/api/v2"}


class Places:
    """Make data folders with a ledger and a lake of their own, on one server that stays up."""

    def __init__(self, address, folder):
        self._address, self._folder, self._count = address, folder, count()
        with opened(Settings(data=folder / "first", ledger=self._ledger("tidemill")), "make"):
            pass

    def new(self):
        name = f"place{next(self._count)}"
        with psycopg.connect(self._address.conninfo("postgres"), autocommit=True) as connection:
            for end in ("", "_lake"):
                connection.execute(f"CREATE DATABASE {name}{end} TEMPLATE tidemill{end} STRATEGY file_copy")
        return self._folder / name, self._ledger(name)

    def _ledger(self, name):
        a = self._address
        url = f"postgresql://{a.user}:{quote(a.password.get_secret_value(), safe='')}@{a.host}:{a.port}/{name}"
        return LedgerSettings(url=SecretStr(url))


@contextmanager
def places(folder):
    with serve(Settings(), DataFolder(folder / "server")) as address:
        yield Places(address, folder)


@contextmanager
def market():
    tape = RedactedTape(invented_hour())
    with served(tape, tape.start + (MINUTES + 1) * MINUTE) as one:
        yield Market(one, tape)


def holes_at(trades, *spans):
    """Give index ranges of the trades between two shares of them, not cutting through a moment."""
    edges = [int(share * len(trades)) for share in np.ravel(spans)]
    for at, edge in enumerate(edges):
        while trades.ts[edge] == trades.ts[edge - 1]:
            edge += 1
        edges[at] = edge
    return list(zip(edges[::2], edges[1::2], strict=True))


def records_of(trades, holes=(), ended=True):
    """Give what a recorder writes that missed the holes: what it fetched, and where ids prove nothing, what of it."""
    records, edges = [], [0, *np.ravel(holes).tolist(), len(trades)]
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        part = trades.take(slice(low, high))
        for at in range(0, len(part), 500):
            page = part.take(slice(at, at + 500))
            records.append(Record(Kind.TRADES, int(page.ts[-1]), page.to_ipc()))
        if trades.id_space == "execution":
            told = Reread(trades.instrument, "execution", int(part.ts[0]), int(part.ts[-1]), "closed")
            records.append(told.record(int(part.ts[-1])))
    return [*records, Mark("ended").record(int(trades.ts[-1]))] if ended else records


def put(settings, records, work=True):
    """Let a recorder have written records, and the dataflow have read them."""
    with opened(settings, "fill", hold=False) as system:
        system.ledger.register_feed("f", settings.feeds[0].dialect)
        system.journal.append("f", records)
        if work:
            work_off(system)


def work_off(system, limit=10_000, epoch=10.0):
    reading = system.reading(until=system.journal.last_offset)
    run(system.flow(reading, limit), system.recovery, reading, timedelta(seconds=epoch))


def minutes_of(settings, venue):
    """Give the latest stored minutes by their start, and which of them are complete."""
    with opened(settings, "look", hold=False) as system:
        found = lake.latest_candles(system.session, f"{venue}:BTC-USDT", "1m", 0, 2**52)
    return {c.start: _values(c) for c in found}, {c.start for c in found if c.complete}


def _values(candle):
    return candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trade_count

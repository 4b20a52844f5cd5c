"""The truth of every dialect: the market as it was drawn and would be told, against all that is stored of it."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from core.gaps import Gap
from core.records import Kind, Record, RecordBlock
from core.timeframes import MINUTE
from core.trades import TradeBatch
from exchanges.decode import to_batches
from exchanges.registry import venue
from simulator.dialect import Connection, Dialect
from simulator.dialects import every
from simulator.framing import Frame
from storage.ledger.ledger import Ledger

sys.path.insert(0, str(Path(__file__).parent))
import venues_exchange
from venues_arena import BY_NAME, CHAINING, Spoken

Trade = tuple[int, float, float, int]
"""Event time (µs), price, size, side of the taker."""

_STORED = "SELECT trade_id, epoch_us(ts), price, size, side FROM lake.trades WHERE instrument = ?"
_TOLD = """
SELECT epoch_us(start), open, high, low, close, volume FROM lake.venue_candles
WHERE instrument = ? AND timeframe = '1m'
QUALIFY row_number() OVER (PARTITION BY start ORDER BY received DESC) = 1 ORDER BY start"""
_COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume")
_MINUTES = """
SELECT epoch_us(start), open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume, complete
FROM lake.candles WHERE instrument = ? AND timeframe = '1m'
QUALIFY row_number() OVER (PARTITION BY start ORDER BY revision DESC) = 1 ORDER BY start"""


class Truth:
    """Know what the exchange told, and will tell, of every instrument."""

    def __init__(self, rate: float, seed: int) -> None:
        self._exchange = venues_exchange.exchange(rate, 1, seed)
        self.tape = self._exchange.tape
        self._dialects = {dialect.name: dialect for dialect in every(self._exchange)}

    def native(self, name: str) -> str:
        """Give the symbol under which the tape has an instrument."""
        return "".join(name.split(":")[1].removesuffix("-PERP").split("-"))

    def last(self, name: str, until: int) -> int:
        """Give the event time of the last trade before ``until``."""
        return int(self.tape.last(self.native(name), until, 1).ts[-1])

    def trades(self, name: str, start: int, end: int) -> dict[int, Trade]:
        """Give the trades of [start, end) by the ids that we know them by."""
        told = self.tape.from_time(self.native(name), start, end, 1_000_000)
        spoken = BY_NAME[name]
        read = [told] if spoken.exchange == "binance" else self._read(spoken, name, told)
        return dict(row for batch in read for row in rows(batch.ids, batch.ts, batch.price, batch.size, batch.side))

    def _read(self, spoken: Spoken, name: str, told: TradeBatch) -> list[TradeBatch]:
        """Read trades as the venue tells them, with our own eyes."""
        dialect: Dialect = self._dialects[spoken.exchange]
        declared = venue(spoken.venue)
        (market,) = [one for one in dialect.markets.values() if one.instrument.name == name]
        (connection,) = declared.subscriptions([market.instrument], [declared.trade_channel])
        path = "/" + connection.url.split("/", 3)[3] if connection.url.count("/") > 2 else "/"
        listener = Connection("", path, 0.0, 0.0, 0.0)
        for message in connection.messages:
            for topic in dialect.heard(listener, message).added:
                frames = dialect.trades(topic, told, int(told.ts[-1]), False)
                records = [Record(Kind.FRAME, int(told.ts[-1]), _bytes(frame)) for frame in frames]
                decoded = to_batches(declared, RecordBlock.of("truth", 0, records))
                assert not decoded.malformed
                return decoded.batches
        raise AssertionError(f"{spoken.venue} cannot be subscribed to {name}")


def rows(*columns: Any) -> Iterable[tuple[int, Trade]]:
    for trade_id, ts, price, size, side in zip(*(np.asarray(one).tolist() for one in columns), strict=True):
        yield trade_id, (ts, price, size, side)


def _bytes(frame: Frame) -> bytes:
    return frame.encode() if isinstance(frame, str) else bytes(frame)


def check(session: Any, ledger: Ledger, truth: Truth, name: str, until: int) -> dict[str, int]:
    """Compare what is stored of an instrument with the truth before ``until``; give what there is to be told."""
    stored = session.execute(_STORED, [name]).fetchnumpy()
    found = list(rows(*(stored[column] for column in ("trade_id", "epoch_us(ts)", "price", "size", "side"))))
    by_id = dict(found)
    assert len(by_id) == len(found), f"{name}: trades twice"
    first = min(trade[0] for trade in by_id.values())
    told = truth.trades(name, first, until)
    invented = by_id.keys() - told.keys()
    assert not invented, f"{name}: {len(invented)} trades that nobody made, as {by_id[min(invented)]}"
    wrong = [trade_id for trade_id, trade in by_id.items() if told[trade_id] != trade]
    assert not wrong, f"{name}: {by_id[wrong[0]]} is {told[wrong[0]]}"
    # Of the very first moment there may be more than was asked for.
    missing = {one: trade for one, trade in told.items() if one not in by_id and trade[0] > first}
    left = [gap for gap in ledger.gaps() if gap.instrument == name and gap.state != "repaired"]
    named = _named(name, missing, left)
    assert named == missing.keys(), f"{name}: missing without a word {_shown(missing, named)}; gaps {left}"
    span = _proven_from(ledger, name), truth.last(name, until)
    covered = ledger.coverage(name, _space(name), 0, 2**52)
    _check_minutes(session, truth, name, span, left, missing, [(one.first_ts, one.last_ts) for one in covered])
    return {"trades": len(by_id), "missing": len(missing), "left": len(left)}


def check_venue_candles(catalog: Any, truth: Truth, name: str) -> None:
    """Compare the candles that the venue told with those of the tape."""
    rows = catalog.execute(_TOLD, [name]).fetchall()
    assert rows, f"{name}: no candle of the venue"
    candles = truth.tape.klines(truth.native(name), "1m", rows[0][0], rows[-1][0] + MINUTE).candles()
    expected = {one.start: (one.open, one.high, one.low, one.close, one.volume) for one in candles}
    for start, *values in rows:
        assert tuple(values) == expected[start], f"{name}: the venue's candle of {start}"


def _named(name: str, missing: dict[int, Trade], left: list[Gap]) -> set[int]:
    """Give which missing trades the gaps name; where ids chain their number has to be right as well."""
    chains = BY_NAME[name].exchange in CHAINING
    named: set[int] = set()
    for gap in left:
        bounds = gap.first_id, gap.last_id
        inside = {one for one, trade in missing.items() if bounds[0] <= (one if chains else trade[0]) <= bounds[1]}
        assert not chains or len(inside) == gap.missing, f"{name}: {len(inside)} are missing, {gap} tells otherwise"
        named |= inside
    return named


def _shown(missing: dict[int, Trade], named: set[int]) -> list[tuple[int, Trade]]:
    return sorted((one for one in missing.items() if one[0] not in named), key=lambda one: one[1])[:3]


def _check_minutes(
    session: Any,
    truth: Truth,
    name: str,
    span: tuple[int, int],
    left: list[Gap],
    missing: dict[int, Trade],
    covered: list[tuple[int, int]],
) -> None:
    found = {row[0]: row[1:] for row in session.execute(_MINUTES, [name]).fetchall()}
    candles = truth.tape.klines(truth.native(name), "1m", span[0], span[1] // MINUTE * MINUTE).candles()
    touched = {trade[0] // MINUTE * MINUTE for trade in missing.values()}
    # The newest minute waits for the trade that proves it; the market stands still.
    for candle in candles[:-1]:
        end = candle.start + MINUTE
        broken = any(gap.after_ts < end and gap.before_ts > candle.start for gap in left)
        # Of a gap that was filled in part, the minutes in that part are whole.
        broken = broken and not any(low < candle.start and end < high for low, high in covered)
        assert broken or candle.start not in touched
        assert candle.start in found, f"{name}: no candle of {candle.start}"
        *values, complete = found[candle.start]
        assert complete is not broken, f"{name}: the minute {candle.start} is complete: {complete}; gaps {left}"
        told = [getattr(candle, column) for column in _COLUMNS]
        assert broken or values == told, f"{name}: {candle.start} is {told}, stored {values}"


def _proven_from(ledger: Ledger, name: str) -> int:
    """Give the first whole minute of what is said to be covered, and was asked for.

    Where a venue tells its latest trades at the subscription, some are from before: their minutes are folded, but not
    the quiet ones between them.
    """
    asked = _covered_from(ledger, "okx:BTC-USDT", "trade")
    return (max(asked, _covered_from(ledger, name, _space(name))) // MINUTE + 1) * MINUTE


def _space(name: str) -> str:
    return "trade" if BY_NAME[name].exchange in CHAINING else "execution"


def _covered_from(ledger: Ledger, name: str, space: str) -> int:
    return min(one.first_ts for one in ledger.coverage(name, space, 0, 2**52))

"""The broadcast: one task follows the clock, renders each stream once, and writes the same bytes to all."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from core.timeframes import MINUTE, SECOND
from core.trades import TradeBatch
from simulator.binance.events import Form, Sent, told
from simulator.binance.framing import encode, unframed
from simulator.binance.pulses import Pulse, pulse
from simulator.binance.streams import Stream, speaks
from simulator.exchange import SimulatedExchange
from simulator.interference import Interference, Told, Undisturbed

_SLICE = MINUTE
"""At most this much of the tape is sent at a time, however far the clock is ahead."""
_SLICE_TRADES = 20_000
"""About as many trades, too: so much is rendered before others have their turn."""
_IDLE = 0.05
_KINDS: dict[str, str] = {
    "trade": "trade",
    "aggTrade": "aggregate",
    "bookTicker": "quote",
    "kline": "kline",
    "markPrice": "mark_price",
    "depth": "depth",
    "partialDepth": "depth",
    "ticker": "ticker",
    "miniTicker": "ticker",
}


class Listener(Protocol):
    """Take frames in one form, of the streams asked for."""

    @property
    def form(self) -> Form: ...  # noqa: D102 - said above

    @property
    def streams(self) -> frozenset[Stream]: ...  # noqa: D102

    def take(self, frames: bytes) -> None:
        """Take whole websocket frames."""
        ...

    def tell(self, told: Iterable[Told]) -> None:
        """Take what is told, through interference."""
        ...


@dataclass(slots=True)
class _Group:
    """Listeners of the same streams in the same form."""

    form: Form
    listeners: list[Listener]
    by_trade: dict[str, list[Stream]] = field(default_factory=dict)
    by_clock: list[Stream] = field(default_factory=list)


class Broadcast:
    """Send what happens on the tape to the listeners that joined; `run` is the task."""

    def __init__(self, exchange: SimulatedExchange, interference: Interference | None = None) -> None:
        self.exchange, self.interference = exchange, interference or Undisturbed()
        self.listeners: set[Listener] = set()
        self.reached = exchange.now()
        """The time of the tape up to which all was sent."""
        self._groups: list[_Group] = []
        self._pulses: dict[Stream, Pulse] = {}
        self._jump = exchange.jump
        self._slice = SECOND
        self._prices: dict[str, float] = {}

    def join(self, listener: Listener) -> None:
        """Send to a listener from now on."""
        self.listeners.add(listener)
        self.changed()

    def leave(self, listener: Listener) -> None:
        """Send it nothing more."""
        self.listeners.discard(listener)
        self.changed()

    def changed(self) -> None:
        """Take notice that a listener wants other streams or another form."""
        groups: dict[tuple[Form, frozenset[Stream]], _Group] = {}
        for listener in self.listeners:
            key = listener.form, listener.streams
            if key not in groups and listener.streams:
                groups[key] = _grouped(*key)
            if listener.streams:
                groups[key].listeners.append(listener)
        self._groups = list(groups.values())
        self.exchange.figures.listeners["binance"] = sum(len(group.listeners) for group in self._groups)
        wanted = {stream for group in self._groups for stream in group.by_clock}
        at = self.reached
        self._pulses = {one: self._pulses.get(one) or pulse(self.exchange, one, at) for one in wanted}

    async def run(self) -> None:
        """Follow the clock until cancelled."""
        while True:
            behind = self.step()
            await asyncio.sleep(0 if behind else self.exchange.rules.pace if self._groups else _IDLE)

    def step(self) -> bool:
        """Send what has happened since the last time; say whether there is more to send at once."""
        exchange = self.exchange
        now = exchange.now()
        if exchange.jump != self._jump or now < self.reached:
            self._jump, self.reached = exchange.jump, min(now, exchange.jump[1])
            self._prices.clear()
            self._pulses.clear()
            self.changed()
        start, end = self.reached, min(now, self.reached + self._slice)
        if end > start and self._groups:
            batches = exchange.tape.between(start, end)
            self._trades(batches)
            self._beats(end)
            self._pace(end - start, sum(map(len, batches)))
        self.reached = max(start, end if self._groups else now)
        return self.reached < now

    def _trades(self, batches: Iterable[TradeBatch]) -> None:
        if self.interference.active:
            self._disturbed(batches)
            return
        sent, shift = self.exchange.venue_now(), self.exchange.clock.shift
        rendered: dict[tuple[Stream, Form], Sent] = {}
        counted: dict[str, int] = {}
        batches = [replace(batch, ts=batch.ts + shift) for batch in batches]
        for group in self._groups:
            parts: list[Sent] = []
            for batch in batches:
                for stream in group.by_trade.get(batch.instrument, ()):
                    key = stream, group.form
                    if key not in rendered:
                        price = self._prices.get(batch.instrument)
                        rendered[key] = told(stream, group.form, batch, sent, price)
                        counted[stream.name] = len(rendered[key].frames)
                    parts.append(rendered[key])
            if frames := _in_order([part for part in parts if part.frames]):
                _give(group, frames)
        self.exchange.figures.sent.update(counted)
        for batch in batches:
            self._prices[batch.instrument] = float(batch.price[-1])

    def _disturbed(self, batches: Iterable[TradeBatch]) -> None:
        """Tell trades to each listener by itself, so that interference can tell it something else."""
        sent, shift = self.exchange.venue_now(), self.exchange.clock.shift
        for batch in (replace(batch, ts=batch.ts + shift) for batch in batches):
            name, price = batch.instrument, self._prices.get(batch.instrument)
            parts: Sequence[TradeBatch] | None = None
            for group in self._groups:
                gathered: list[Told] = []
                for stream in group.by_trade.get(name, ()):
                    if stream.kind != "bookTicker" and parts is None:
                        parts = self.interference.trades(speaks(stream.market.futures), batch)
                    rows = (batch,) if stream.kind == "bookTicker" else parts or ()
                    frames = [
                        unframed(one) for row in rows for one in told(stream, group.form, row, sent, price).frames
                    ]
                    self.exchange.figures.sent[stream.name] += len(frames)
                    gathered.append(Told(_KINDS[stream.kind], name, frames, rows))
                _tell(group, gathered)
            self._prices[name] = float(batch.price[-1])

    def _pace(self, span: int, trades: int) -> None:
        """Fit the slices to how dense the tape is."""
        if trades > _SLICE_TRADES:
            self._slice = max(1000, span * _SLICE_TRADES // trades)
        elif span == self._slice:
            self._slice = min(_SLICE, span * 2)

    def _beats(self, now: int) -> None:
        reading, forms = time.monotonic(), {group.form for group in self._groups}
        beats = {one: beating.beat(now, reading, forms) for one, beating in self._pulses.items()}
        counts = Counter({one.name: max(map(len, beat.values())) for one, beat in beats.items()})
        self.exchange.figures.sent.update(counts)
        for group in self._groups:
            if self.interference.active:
                _tell(group, [_beaten(one, beats[one][group.form]) for one in group.by_clock])
                continue
            frames = [frame for one in group.by_clock for frame in beats[one][group.form]]
            if frames:
                _give(group, "".join(frames))


def _grouped(form: Form, streams: frozenset[Stream]) -> _Group:
    group = _Group(form, [])
    for stream in sorted(streams, key=lambda one: one.name):
        if stream.every:
            group.by_clock.append(stream)
        else:
            group.by_trade.setdefault(stream.market.instrument.name, []).append(stream)
    return group


def _in_order(parts: list[Sent]) -> str:
    if len(parts) < 2:
        return "".join(parts[0].frames) if parts else ""
    frames = [frame for part in parts for frame in part.frames]
    line = np.argsort(np.concatenate([part.ts for part in parts]), kind="stable")
    return "".join([frames[at] for at in line.tolist()])


def _give(group: _Group, frames: str) -> None:
    data = encode(frames)
    for listener in group.listeners:
        listener.take(data)


def _beaten(stream: Stream, frames: list[str]) -> Told:
    return Told(_KINDS[stream.kind], stream.market.instrument.name, [unframed(frame) for frame in frames])


def _tell(group: _Group, told: list[Told]) -> None:
    some = [one for one in told if one.frames]
    for listener in group.listeners if some else ():
        listener.tell(some)

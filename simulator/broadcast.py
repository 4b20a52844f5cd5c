"""The broadcast of all dialects: one task follows the clock, renders each topic once, sends it to its listeners."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from core.timeframes import SECOND
from core.trades import TradeBatch
from simulator.dialect import Dialect, Frames
from simulator.exchange import SimulatedExchange
from simulator.feeds import FEEDS, Feed, TradeFeed
from simulator.interference import Interference, Told, Undisturbed
from simulator.session import Session
from simulator.topic import Topic

Key = tuple[Dialect, Topic]

_SLICE = SECOND
"""At most this much of the tape is sent at a time, so that topics of one connection stay together."""
_IDLE = 0.05
_TICK = 0.25
"""Seconds between two looks at heartbeats."""


class TopicBroadcast:
    """Send what happens on the tape to the sessions that joined; `run` is the task."""

    def __init__(self, exchange: SimulatedExchange, interference: Interference | None = None) -> None:
        self.exchange, self.interference = exchange, interference or Undisturbed()
        self.sessions: set[Session] = set()
        self.reached = exchange.now()
        """The time of the tape up to which all was sent."""
        self._feeds: dict[Key, Feed] = {}
        self._by_trade: dict[str, list[tuple[Key, Feed]]] = {}
        self._listeners: dict[Key, list[Session]] = {}
        self._jump = exchange.jump
        self._ticked = 0.0

    def join(self, session: Session) -> None:
        """Send to a session from now on."""
        self.sessions.add(session)
        self._regroup()

    def leave(self, session: Session) -> None:
        """Send it nothing more."""
        self.sessions.discard(session)
        self._regroup()

    def changed(self, session: Session, fresh: list[Topic]) -> None:
        """Take notice that a session's topics have changed, and tell it how the new ones stand."""
        self._regroup()
        feeds = [feed for topic in fresh if (feed := self._feeds.get((session.dialect, topic))) is not None]
        session.tell([_told(feed, feed.opening(self.reached)) for feed in feeds])

    async def run(self) -> None:
        """Follow the clock until cancelled."""
        while True:
            behind = self.step()
            self._tick()
            await asyncio.sleep(0 if behind else self.exchange.rules.pace if self._feeds else _IDLE)

    def step(self) -> bool:
        """Send what has happened since the last time; say whether there is more to send at once."""
        exchange, now = self.exchange, self.exchange.now()
        if exchange.jump != self._jump or now < self.reached:
            self._jump, self.reached = exchange.jump, min(now, exchange.jump[1])
            self._feeds.clear()
            self._regroup()
        start, end = self.reached, min(now, self.reached + _SLICE)
        if end > start and self._feeds:
            # Reached first: who is told while this is sent, is told how things stand after it.
            self.reached = end
            self._advance(exchange.tape.between(start, end), end)
        self.reached = max(start, end if self._feeds else now)
        return self.reached < now

    def _advance(self, batches: list[TradeBatch], now: int) -> None:
        shift, reading = self.exchange.clock.shift, time.monotonic()
        waiting: dict[Session, list[Told]] = {}
        for batch in batches:
            trades = replace(batch, ts=batch.ts + shift)
            passed: dict[str, Sequence[TradeBatch]] = {}
            for key, feed in self._by_trade.get(batch.instrument, ()):
                for part in self._passed(key[0], feed, trades, passed):
                    self._tell(key, _told(feed, feed.advance(now, reading, part), part), waiting)
        for key, feed in self._feeds.items():
            if reading >= feed.due or now >= feed.closes:
                self._tell(key, _told(feed, feed.advance(now, reading, None)), waiting)
        for session, gathered in waiting.items():
            session.tell(gathered)

    def _passed(
        self, dialect: Dialect, feed: Feed, trades: TradeBatch, passed: dict[str, Sequence[TradeBatch]]
    ) -> Sequence[TradeBatch]:
        """Give the trades as the dialect tells them, the same on all its topics."""
        if not self.interference.active or not isinstance(feed, TradeFeed):
            return (trades,)
        if dialect.name not in passed:
            passed[dialect.name] = self.interference.trades(dialect.name, trades)
        return passed[dialect.name]

    def _tell(self, key: Key, told: Told, waiting: dict[Session, list[Told]]) -> None:
        if not told.frames:
            return
        self.exchange.figures.sent[f"{key[0].name} {key[1].key}"] += len(told.frames)
        for session in self._listeners[key]:
            waiting.setdefault(session, []).append(told)

    def _tick(self) -> None:
        reading = time.monotonic()
        if reading >= self._ticked + _TICK:
            self._ticked = reading
            for session in list(self.sessions):
                session.tick(reading)

    def _regroup(self) -> None:
        listeners: dict[Key, list[Session]] = {}
        for session in self.sessions:
            for topic in session.connection.topics.values():
                listeners.setdefault((session.dialect, topic), []).append(session)
        known, at = self._feeds, self.reached
        self._listeners = listeners
        self._feeds = {key: known.get(key) or FEEDS[key[1].kind](self.exchange, *key, at) for key in listeners}
        self._by_trade = {}
        for key, feed in self._feeds.items():
            if feed.follows_trades:
                self._by_trade.setdefault(feed.market.source.instrument.name, []).append((key, feed))
        self.exchange.figures.listeners["dialects"] = sum(1 for one in self.sessions if one.connection.topics)


def _told(feed: Feed, frames: Frames, trades: TradeBatch | None = None) -> Told:
    return Told(feed.topic.kind, feed.market.source.instrument.name, frames, () if trades is None else (trades,))

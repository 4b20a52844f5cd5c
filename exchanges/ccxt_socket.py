"""A connection that ccxt.pro keeps: what it brings becomes frames of ours, what it hides ends it.

ccxt.pro loses trades for its callers under bursts: it keeps 1,000 of a market, and a call wakes up for one market.
Here it keeps more, and all markets are emptied whenever something has come. Were so many to come between two looks
that some may be lost, none of them is handed on and the connection ends: what is missing is then a named stretch.

One of these is one watch: an object of ccxt's that is used until any of its connections ends. ccxt would open the
next one without a word; we end with it, and the link begins anew. So a loss is always told, with few exceptions that
cannot be seen from here:

- messages that ccxt receives and passes over, or that the venue never sends;
- a subscription that the venue ends or turns down in a way that ccxt does not understand: it is only silent, and
  found as every silent stream is (`exchanges.stale_streams`);
- a subscription that is in force only later: ours counts from when ccxt has sent it, whatever the answer.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from ccxt.base.errors import OperationFailed

from core.errors import TransientError
from exchanges import ccxt_frames
from exchanges.ccxt_exchange import words
from exchanges.ccxt_heard import Heard

HIGH_WATER = 20_000
"""Above so many trades that were not taken nothing more is read; a trade takes about 3 KB there."""

_AGAIN_SECONDS = 0.25
_LOOK_SECONDS = 0.02


class Wanted(msgspec.Struct, frozen=True):
    """Hold what is sent to it: streams to watch, or to watch no more."""

    watch: tuple[str, ...] = ()
    unwatch: tuple[str, ...] = ()


class CcxtSocket:
    """Watch trades (`exchanges.carrier.Carrier`); ``exchange`` is ccxt's, with its markets, and closed with this.

    ``symbols`` maps streams to ccxt's symbols, ``arrived`` is called when there is something to take. ``at_once``
    says that many markets may be watched by one call.
    """

    def __init__(
        self,
        exchange: Any,
        symbols: Mapping[str, str],
        heard: Heard,
        arrived: Callable[[], None],
        *,
        at_once: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[str] = self._loop.create_future()
        self.last_bytes = self._loop.time()
        self._exchange, self._symbols, self._heard = exchange, symbols, heard
        self._arrived, self._at_once = arrived, at_once
        self._id: str = exchange.id
        self._watched: dict[str, ccxt_frames.Rows] = {}
        self._answers: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._up, self._taken = asyncio.Event(), asyncio.Event()
        self._unsent = 0
        self._closing = False

    async def connected(self) -> None:
        """Wait until ccxt has connected and has sent what it has to; raise `TransientError` where it cannot."""
        while self._tasks and not self.over.done() and (self._unsent or not self._up.is_set()):
            await asyncio.wait({self.over}, timeout=_LOOK_SECONDS)
        if self.over.done():
            raise TransientError(self.over.result())

    def watch(self, streams: Sequence[str]) -> None:
        """Watch the trades of these streams; those of no market are refused."""
        symbols = {stream: self._symbols[stream] for stream in streams if stream in self._symbols}
        unknown = [stream for stream in streams if stream not in symbols]
        if unknown:
            self._answer(ccxt_frames.refused(self._id, unknown, f"{self._id} lists no such market"))
        fresh = [symbol for symbol in dict.fromkeys(symbols.values()) if symbol not in self._watched]
        for symbol in fresh:
            self._watched[symbol] = ccxt_frames.Rows()
            self._heard.begin(symbol)
        if self._at_once and fresh:
            self._begin(fresh)
        for symbol in () if self._at_once else fresh:
            self._begin([symbol])

    def take(self) -> list[bytes]:
        """Give the frames of all that has come, of every market."""
        frames, self._answers = self._answers, []
        for symbol, cache in (self._exchange.trades or {}).items():
            if len(cache):
                frames += self._emptied(symbol, cache)
        self._taken.set()
        return frames

    async def send(self, text: str | None) -> None:
        """Watch, or watch no more, what the text says; ccxt sends heartbeats by itself."""
        if self.over.done():
            raise TransientError(self.over.result())
        wanted = msgspec.json.decode(text or "{}", type=Wanted)
        self.watch(wanted.watch)
        for stream in wanted.unwatch:
            # The venue goes on sending it: not every exchange of ccxt's can be told to stop.
            self._watched.pop(self._symbols.get(stream, ""), None)
        self._answer(ccxt_frames.watching(self._id, [*wanted.watch, *wanted.unwatch]))

    def answer(self, text: str) -> None:
        """Answer nothing: ccxt does."""

    def fail(self, cause: str) -> None:
        """End it; nothing happens where it is over."""
        if not self.over.done():
            self.over.set_result(cause)
            self._taken.set()
            self._arrived()

    async def close(self, patience: float) -> None:
        """End it and close ccxt's connections."""
        self._closing = True
        self.fail("closed by us")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._exchange.close()

    def up(self) -> None:
        """Note that one of ccxt's connections is open (`exchanges.ccxt_exchange.Overheard`)."""
        self._up.set()
        self.stirred()

    def down(self, cause: str) -> None:
        """Note that one of them is lost."""
        self.fail(cause)

    def stirred(self) -> None:
        """Note that something came."""
        self.last_bytes = self._loop.time()
        self._arrived()

    def asking(self, more: int) -> None:
        """Note that so many more subscriptions wait to be sent, or fewer."""
        self._unsent += more

    async def room(self) -> None:
        """Wait until what came is taken, where that is much."""
        while not self.over.done() and self._backlog() >= HIGH_WATER:
            self._taken.clear()
            self._arrived()
            await self._taken.wait()

    def _backlog(self) -> int:
        return sum(map(len, (self._exchange.trades or {}).values()))

    def _emptied(self, symbol: str, cache: Any) -> Iterable[bytes]:
        full = len(cache) >= (getattr(cache, "max_size", None) or float("inf"))
        trades = list(cache)
        cache.clear()
        rows = self._watched.get(symbol)
        if full:
            self.fail(f"lost_connection: {len(trades)} trades of {symbol} at once, others may be lost")
        # What comes after a loss that is not told yet would be joined to what came before it.
        if rows is None or full:
            return ()
        found = [rows.row(trade) for trade in trades]
        if all(isinstance(row["timestamp"], int) for row in found):
            found.sort(key=lambda row: row["timestamp"])
            self._heard.note(symbol, found)
        return ccxt_frames.trade_frames(self._id, symbol, found)

    def _begin(self, symbols: Sequence[str]) -> None:
        task = asyncio.create_task(self._watch(symbols))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _watch(self, symbols: Sequence[str]) -> None:
        """Call ccxt again and again: what it brings is taken from where it is kept, but errors come to who waits."""
        held = self._subscriptions()
        while not self.over.done():
            try:
                if self._at_once:
                    await self._exchange.watch_trades_for_symbols(list(symbols))
                else:
                    await self._exchange.watch_trades(symbols[0])
            except OperationFailed as error:
                self.fail(f"lost_connection: {words(error)}")
            except Exception as error:  # noqa: BLE001 - ccxt stumbles over what it does not expect with any of them
                self._turned_down(symbols, held, words(error))
                return
            else:
                self._arrived()
                await asyncio.sleep(_AGAIN_SECONDS)

    def _turned_down(self, symbols: Sequence[str], held: Mapping[str, set[str]], why: str) -> None:
        if self.over.done():
            return
        if len(symbols) > 1:
            # One of them is at fault, and which one is not said. Of all ccxt believes that they are subscribed.
            for url, client in (self._exchange.clients or {}).items():
                for one in client.subscriptions.keys() - held.get(url, set()):
                    del client.subscriptions[one]
            for symbol in symbols:
                self._begin([symbol])
            return
        self._watched.pop(symbols[0], None)
        streams = [stream for stream, symbol in self._symbols.items() if symbol == symbols[0]]
        self._answer(ccxt_frames.refused(self._id, streams, why))

    def _subscriptions(self) -> dict[str, set[str]]:
        return {url: set(client.subscriptions) for url, client in (self._exchange.clients or {}).items()}

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled() and not self._closing:
            self.fail("lost_connection: ccxt has given up")

    def _answer(self, frame: bytes) -> None:
        self._answers.append(frame)
        self._arrived()

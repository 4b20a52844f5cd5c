"""What ccxt gives by REST, within our budgets and breakers: markets, trades, candles, the time.

Whether an exchange's ``fetch_trades`` begins where it is told to is not known beforehand: some begin there, some give
the newest ones whatever they are told, and ccxt then leaves out what is older without a sign. So older trades count
only where they come on one page, or on a chain of pages, with a trade that is known already.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import msgspec
from ccxt.base.errors import BaseError, OperationFailed

from core.errors import MalformedFrame, TransientError, VenueError
from core.instruments import Instrument
from exchanges.budgets import Admission, Budgets
from exchanges.ccxt_exchange import facts, opened, words
from exchanges.ccxt_frames import Row, Rows
from exchanges.ccxt_heard import Heard
from exchanges.ccxt_markets import described, is_traded, plain
from exchanges.ccxt_pages import older
from exchanges.ccxt_responses import note, noted, responses
from exchanges.hosts import host
from exchanges.refusal import VenueRefusal
from exchanges.rest import Limited, Rest
from exchanges.venue import Request, Venue

_SECONDS = 15.0
_REQUESTS = {"markets": 4}
"""What ccxt asks for in several requests may take so many times as long."""

_PAGES = (None, 100, 500, 1_000)
_OF_THE_MARKET = ("BadSymbol", "MarketClosed")
"""What ccxt raises for a market that gives no page, whatever its size."""


class _Page(msgspec.Struct, frozen=True):
    trades: list[Row]


class CcxtRest(Rest):
    """Ask one exchange through ccxt; ``exchange`` is ccxt's object, with its markets once `listed` was called.

    Requests name what is asked for (`exchanges.ccxt_venue`). ``heard`` is told by watches what they brought.
    """

    def __init__(
        self,
        venue: Venue,
        exchange_id: str,
        addresses: tuple[str | None, str | None],
        *,
        budgets: Budgets | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(venue, budgets=budgets, timeout=timeout or _SECONDS)
        self._venue, self._addresses = venue, addresses
        self._tells_time = facts(exchange_id, *addresses).tells_time
        self.exchange = opened(exchange_id, *addresses)
        note(self.exchange)
        self.heard = Heard()
        self._sizes: tuple[int | None, ...] = _PAGES
        self._symbols: dict[str, str] = {}
        self._listing = asyncio.Lock()
        self._answers: dict[str, Callable[[Mapping[str, Any]], Awaitable[object]]] = {
            "time": self._time,
            "markets": self._markets,
            "trades_page": self._page,
            "candles": self._candles,
        }

    async def listed(self) -> Mapping[str, str]:
        """Give ccxt's symbol of each instrument's name, asking for the markets where that was not done yet."""
        async with self._listing:
            if not self._symbols:
                await self.get(self._venue.instruments_request())
        return self._symbols

    async def get(self, request: Request) -> bytes:
        """Give an answer as `Rest.get`; trades only as far as they may stand beside watched ones.

        What takes several pages asks budget and breaker for each of them, and ends where one is not admitted.
        """
        symbol = await self._symbol(request.params) if "instrument" in request.params else ""
        if request.path not in ("trades", "older_trades"):
            return await super().get(request)
        if request.path == "trades":
            rows = await self._trades(symbol, None)
        else:
            anchor = int(request.params["id"]), int(request.params["before"])
            rows = await older(partial(self._trades, symbol), anchor)
        # Beside the breaker: it is not the host that is at fault.
        if rows or request.path == "trades":
            rows = self.heard.sifted(symbol, rows)
        return msgspec.json.encode({"trades": rows})

    async def close(self) -> None:
        """Close ccxt's connections."""
        await super().close()
        await self.exchange.close()

    async def _told(self, request: Request, admission: Admission) -> bytes:
        if not admission.trial or request.path not in _REQUESTS:
            return await super()._told(request, admission)
        # A trial is over after one request, else others would take it for lost and try beside it.
        with suppress(VenueError):
            await super()._told(self._venue.time_request(), admission)
        return await self._told(request, await self._admitted(request.weight))

    async def _answer(self, request: Request) -> bytes:
        where = f"{self.host} {request.path}"
        with noted():
            try:
                async with asyncio.timeout(self._timeout * _REQUESTS.get(request.path, 1)):
                    return msgspec.json.encode(await self._answers[request.path](request.params))
            except TimeoutError:
                raise TransientError(f"{where} took longer than {self._timeout:g} s") from None
            except (TransientError, VenueError):
                raise
            except Exception as error:  # noqa: BLE001 - ccxt stumbles over what it does not expect with any of them
                raise self._meant(where, error) from None

    def _meant(self, where: str, error: Exception) -> Exception:
        limit = self._limit(error)
        if limit is not None:
            return limit
        if isinstance(error, OperationFailed):
            return TransientError(f"{where}: {words(error)}")
        if isinstance(error, BaseError):
            return VenueRefusal(f"{where}: {words(error)}", type(error).__name__)
        return MalformedFrame(f"{where}: ccxt cannot read the answer: {words(error)}")

    async def _time(self, asked: Mapping[str, Any]) -> object:
        if self._tells_time:
            return {"time": int(await self.exchange.fetch_time())}
        try:
            await self.exchange.fetch(self._url)
        except BaseError:
            # Whatever it refuses at this address, it does so at a time.
            last = responses().last
            if last is None or last.status >= 500 or last.status in (418, 429):
                raise
        last = responses().last
        date = last.header("date") if last else None
        try:
            return {"time": int(parsedate_to_datetime(date or "").timestamp() * 1000)}
        except ValueError:
            raise MalformedFrame(f"{self.host} does not tell its time") from None

    async def _markets(self, asked: Mapping[str, Any]) -> object:
        await self._load()
        mode = self.exchange.precisionMode
        told = {"markets": [described(one, mode) for one in self.exchange.markets.values() if is_traded(one)]}
        found: list[Instrument] = self._venue.read_instruments(msgspec.json.encode(told))
        self._symbols = {one.name: one.native for one in found}
        return told

    async def _load(self) -> None:
        options = self.exchange.options.get("fetchMarkets")
        told = options.get("types") if isinstance(options, dict) else None
        kinds = told if isinstance(told, list) else []
        try:
            await self.exchange.load_markets(True)
        except BaseError as error:
            # Of an exchange that has several kinds of markets one may be closed to us, or not exist there.
            if self._unwelcome(error):
                raise
            found = [one for kind in kinds if len(kinds) > 1 for one in await self._of_kind(kind)]
            if not found:
                raise
            self.exchange.set_markets(found)
            responses().bans.clear()

    async def _of_kind(self, kind: str) -> list[Any]:
        options = self.exchange.options["fetchMarkets"]
        kinds, options["types"] = options["types"], [kind]
        try:
            return list(await self.exchange.fetch_markets())
        except BaseError as error:
            if self._unwelcome(error):
                raise
            return []
        finally:
            options["types"] = kinds

    async def _symbol(self, asked: Mapping[str, Any]) -> str:
        name, symbols = str(asked["instrument"]), await self.listed()
        if name not in symbols:
            raise VenueError(f"{self.host} lists no market for {name}")
        return symbols[name]

    async def _trades(self, symbol: str, since: int | None) -> list[Row]:
        """Ask for as many as the exchange gives, which is found out: left to ccxt it may be ten."""
        asked: dict[str, str | int] = {"symbol": symbol} if since is None else {"symbol": symbol, "since": since}
        sizes = self._sizes
        at = len(sizes)
        while True:
            size = sizes[at - 1]
            page = Request("trades_page", asked if size is None else {**asked, "limit": size}, 1)
            try:
                rows = msgspec.json.decode(await self.get(page), type=_Page).trades
            except VenueRefusal as error:
                if at == 1 or error.code in _OF_THE_MARKET:
                    raise
                at -= 1
            else:
                # Learned by a success only, as a market may be refused at any size. Others learn meanwhile.
                self._sizes = min(self._sizes, sizes[:at], key=len)
                return rows

    async def _page(self, asked: Mapping[str, Any]) -> object:
        found = await self.exchange.fetch_trades(asked["symbol"], asked.get("since"), asked.get("limit"))
        rows = Rows()
        told = [rows.row(trade) for trade in sorted(found, key=lambda trade: trade["timestamp"])]
        return _Page(msgspec.convert(told, list[Row]))

    async def _candles(self, asked: Mapping[str, Any]) -> object:
        symbol = await self._symbol(asked)
        found = await self.exchange.fetch_ohlcv(symbol, str(asked["timeframe"]), int(asked["start"]) // 1000)
        rows = [[row[0], *(plain(value) for value in row[1:6])] for row in found if None not in row[:6]]
        return {"candles": [row for row in rows if row[0] * 1000 < int(asked["end"])]}

    def _limit(self, error: Exception) -> Limited | None:
        return responses().limit(error, self.exchange.httpExceptions.get("403"))

    def _unwelcome(self, error: Exception) -> bool:
        """Tell whether nothing more is wanted; a host that forbids itself to us is that only where it is ours."""
        hosts = [one.host for one in responses().bans if one.status == 403]
        return self._limit(error) is not None and (not hosts or host(self._url) in hosts)

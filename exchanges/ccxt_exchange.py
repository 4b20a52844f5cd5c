"""ccxt.pro's own objects: made, pointed at other addresses, and listened to where they keep silent.

Source: ccxt 4.5.90, ``async_support/base/ws/client.py`` and ``base/exchange.py``. When a connection ends, its client
rejects what is awaited and is dropped (``on_close``, ``on_error``); the next call of a watch method opens another
one, and says nothing. So these hooks are the only sign of a loss, and they are heard here.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import ccxt
import ccxt.pro

from core.errors import UnknownName, UserError
from exchanges.hosts import is_loopback

CACHED_TRADES = 100_000
"""So many trades of a market ccxt keeps until they are taken; its default of 1,000 loses those of a burst."""

_TIMEOUT_MS = 10_000
# Here ccxt multiplies what it was told to make texts of.
_OF_DOUBLES = ("bitrue",)
_ORIGIN = re.compile(r"(wss?|https?)://[^/]+")
# Its trades and those of its REST have different ids by default.
_ALIKE = {"watchTrades": {"name": "aggTrade"}, "watchTradesForSymbols": {"name": "aggTrade"}}


class Facts(NamedTuple):
    """Hold what ccxt tells of an exchange; times in seconds.

    ``pace`` is how long a REST request is to be apart from the next; ``keep_alive`` how often connections are
    tried; ``at_once`` says that several markets are watched by one call.
    """

    websocket_url: str
    rest_url: str
    pace: float
    keep_alive: float
    at_once: bool
    tells_time: bool
    timeframes: frozenset[str]


class Overheard(Protocol):
    """Take what happens to an exchange's connections."""

    def up(self) -> None:
        """Note that one is open."""
        ...

    def down(self, cause: str) -> None:
        """Note that one is lost, or has brought what ccxt cannot read."""
        ...

    def stirred(self) -> None:
        """Note that something came."""
        ...

    def asking(self, more: int) -> None:
        """Note that so many more subscriptions wait to be sent, or fewer."""
        ...

    async def room(self) -> None:
        """Return when more may be read."""
        ...


def opened(exchange_id: str, websocket_url: str | None, rest_url: str | None) -> Any:
    """Make ccxt's object of an exchange; the addresses replace scheme, host and port of its own.

    Raises `UnknownName` for an exchange that ccxt does not know, `UserError` for one whose trades it cannot watch.
    Numbers are texts in what it gives: the venue's own wherever ccxt keeps them.
    """
    if exchange_id not in ccxt.exchanges:
        raise UnknownName("exchange of ccxt", exchange_id, ccxt.exchanges)
    kind = getattr(ccxt.pro, exchange_id, None)
    options: dict[str, object] = {"tradesLimit": CACHED_TRADES}
    if kind is not None and issubclass(kind, ccxt.pro.binance):
        options |= _ALIKE
    named = [url for url in (websocket_url, rest_url) if url]
    trusting = not any(is_loopback(urlsplit(url).hostname or "") for url in named)
    number = float if exchange_id in _OF_DOUBLES else str
    config = {"number": number, "timeout": _TIMEOUT_MS, "aiohttp_trust_env": trusting, "options": options}
    exchange = kind(config) if kind is not None else None
    if exchange is None or exchange.has.get("watchTrades") is not True:
        raise UserError(f"ccxt cannot watch the trades of {exchange_id}: it gives them by REST only, or not at all")
    exchange.urls["api"] = _pointed(exchange.urls["api"], websocket_url, rest_url)
    return exchange


@lru_cache(maxsize=64)
def facts(exchange_id: str, websocket_url: str | None, rest_url: str | None) -> Facts:
    """Give what ccxt tells of an exchange; raise as `opened`."""
    exchange = opened(exchange_id, websocket_url, rest_url)
    urls = [exchange.implode_hostname(url) for url in _urls(exchange.urls["api"])]
    return Facts(
        websocket_url or next((url for url in urls if url.startswith("ws")), f"wss://{exchange_id}"),
        rest_url or next((url for url in urls if url.startswith("http")), f"https://{exchange_id}"),
        max(float(exchange.rateLimit), 1.0) / 1000,
        max(float(exchange.streaming.get("keepAlive") or 0), 30_000.0) / 1000,
        exchange.has.get("watchTradesForSymbols") is True,
        exchange.has.get("fetchTime") is True,
        frozenset(exchange.timeframes or {}) if exchange.has.get("fetchOHLCV") is True else frozenset(),
    )


def overhear(exchange: Any, listener: Overheard) -> None:
    """Tell a listener of every connection of an exchange, from now on."""
    client_of = exchange.client
    on_connected, on_error, on_close = exchange.on_connected, exchange.on_error, exchange.on_close

    def connected(client: Any, message: Any = None) -> None:
        on_connected(client, message)
        listener.up()

    def failed(client: Any, error: Any) -> None:
        on_error(client, error)
        listener.down(f"lost_connection: {words(error)}")

    def closed(client: Any, code: Any) -> None:
        on_close(client, code)
        listener.down(f"closed_by_venue: code {code}")

    def client(url: str) -> Any:
        known = url in (exchange.clients or {})
        found = client_of(url)
        if not known:
            _listen(found, listener)
        return found

    exchange.on_connected, exchange.on_error, exchange.on_close = connected, failed, closed
    exchange.client = client


def words(error: object) -> str:
    """Give an error of ccxt's as one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:160]


def _listen(client: Any, listener: Overheard) -> None:
    receive, throttle, handle = client.receive, client.throttle, client.handle_message

    async def received() -> Any:
        await listener.room()
        try:
            message = await receive()
        except Exception as error:
            # ccxt rejects what is awaited at this moment, and keeps the client, which reads no more.
            listener.down(f"lost_connection: {words(error)}")
            raise
        return message

    def handled(message: Any) -> None:
        try:
            handle(message)
        except Exception as error:  # noqa: BLE001 - whatever ccxt stumbles over: its loop would stop reading, unseen
            listener.down(f"protocol_error: ccxt cannot read a message: {words(error)}")
        listener.stirred()

    async def throttled(cost: float | None = None) -> None:
        listener.asking(1)
        try:
            await throttle(cost)
        finally:
            listener.asking(-1)

    client.receive, client.throttle, client.handle_message = received, throttled, handled


def _urls(api: Any) -> Iterator[str]:
    if isinstance(api, str):
        yield api
    for part in api.values() if isinstance(api, dict) else ():
        yield from _urls(part)


def _pointed(api: Any, websocket_url: str | None, rest_url: str | None) -> Any:
    if isinstance(api, dict):
        return {name: _pointed(part, websocket_url, rest_url) for name, part in api.items()}
    if not isinstance(api, str):
        return api
    origin = websocket_url if api.startswith("ws") else rest_url
    return _ORIGIN.sub(lambda _: origin.rstrip("/"), api, count=1) if origin else api

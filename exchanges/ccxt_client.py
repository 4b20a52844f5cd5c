"""The part of a ccxt venue that needs ccxt: loaded by `exchanges.ccxt_venue` when it is first asked for."""

import asyncio
from collections.abc import Callable

from core.errors import TransientError, VenueError
from exchanges.budgets import Budgets
from exchanges.carrier import Carrier, Dial
from exchanges.ccxt_exchange import facts, opened, overhear
from exchanges.ccxt_rest import CcxtRest
from exchanges.ccxt_socket import CcxtSocket
from exchanges.ccxt_venue import CcxtVenue
from exchanges.rest import Rest

__all__ = ["dialer", "facts", "rest"]


def rest(venue: CcxtVenue, budgets: Budgets | None, timeout: float | None) -> CcxtRest:
    """Give the client that asks the exchange through ccxt."""
    return CcxtRest(venue, venue.exchange_id, venue.addresses, budgets=budgets, timeout=timeout)


def dialer(venue: CcxtVenue, client: Rest) -> Dial:
    """Give what begins a watch; ``client`` was given by `rest`, and its markets are used."""
    if not isinstance(client, CcxtRest):
        raise TypeError("a watch of ccxt's takes the markets from a client of ccxt's")

    async def dial(url: str, streams: tuple[str, ...], arrived: Callable[[], None], timeout: float) -> Carrier:
        try:
            symbols = await client.listed()
        except VenueError as error:
            raise TransientError(f"the markets are not known: {error}") from None
        exchange = opened(venue.exchange_id, *venue.addresses)
        exchange.set_markets_from_exchange(client.exchange)
        at_once = facts(venue.exchange_id, *venue.addresses).at_once
        watched = {f"{venue.trade_channel}:{name}": symbol for name, symbol in symbols.items()}
        socket = CcxtSocket(exchange, watched, client.heard, arrived, at_once=at_once)
        overhear(exchange, socket)
        try:
            async with asyncio.timeout(timeout):
                socket.watch(streams)
                await socket.connected()
        except TimeoutError:
            await socket.close(0)
            raise TransientError(f"no connection within {timeout:g} s") from None
        except BaseException:
            await socket.close(0)
            raise
        return socket

    return dial

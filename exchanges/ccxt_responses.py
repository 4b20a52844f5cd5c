"""What HTTP said beneath a call of ccxt's: its errors do not tell the status, and its calls overlap."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from ccxt.base.errors import BaseError, DDoSProtection, ExchangeError, OperationFailed, RateLimitExceeded

from exchanges.breaker import BANS
from exchanges.hosts import host
from exchanges.refusal import refusal
from exchanges.rest import Limited
from exchanges.retry_after import retry_after


class Response(NamedTuple):
    """Hold a response; ``worded`` says that its body is a refusal in an envelope of a venue's."""

    status: int
    host: str
    headers: Mapping[str, str]
    worded: bool

    def header(self, name: str) -> str | None:
        """Give a header's value; ``name`` in small letters."""
        return next((value for key, value in self.headers.items() if key.lower() == name), None)


class Responses:
    """Hold the last response of one call, and all whose status is that of a ban."""

    def __init__(self) -> None:
        self.last: Response | None = None
        self.bans: list[Response] = []

    def note(self, response: Response) -> None:
        """Note one."""
        self.last = response
        if response.status in BANS:
            self.bans.append(response)

    def limit(self, error: Exception, forbidden: type[Exception] | None) -> Limited | None:
        """Give what a call that ended with ``error`` says of the host's will to answer; None where it says nothing.

        ``forbidden`` is what ccxt makes of every 403. Such a one is a ban as with our own venues: unless the venue,
        or ccxt by what it knows of the venue, has told in words what it refuses.
        """
        plain = [one for one in self.bans if one.status != 403]
        known = isinstance(error, BaseError) and not isinstance(error, OperationFailed)
        known = known and type(error) not in (ExchangeError, forbidden)
        found = next(iter(plain or [one for one in self.bans if not (known or one.worded)]), None)
        if found is not None:
            return Limited(found.status, retry_after(found.header("retry-after")))
        if not isinstance(error, RateLimitExceeded | DDoSProtection):
            return None
        status = self.bans[0].status if self.bans else 429
        return Limited(status, retry_after(self.last.header("retry-after") if self.last else None))


_CALL: ContextVar[Responses] = ContextVar("ccxt_call")


@contextmanager
def noted() -> Iterator[None]:
    """Note the responses of what is called within the block, also by tasks that it begins."""
    token = _CALL.set(Responses())
    try:
        yield
    finally:
        _CALL.reset(token)


def responses() -> Responses:
    """Give those of the block that this runs in; raise `LookupError` outside of any."""
    return _CALL.get()


def note(exchange: Any) -> None:
    """Note every response that an exchange of ccxt's gets, from now on, for the call that asked.

    Source: ccxt 4.5.90, ``async_support/base/exchange.py``: ``fetch`` calls ``on_rest_response`` for each, whatever
    its status, before it makes errors of it.
    """
    received = exchange.on_rest_response

    def on_rest_response(status: int, reason: str, url: str, method: str, headers: Any, body: str, *of: Any) -> Any:
        call = _CALL.get(None)
        if call is not None:
            said = refusal(body.encode("utf-8", "replace")) if status in BANS else None
            call.note(Response(status, host(url), headers, said is not None and not said.limited))
        return received(status, reason, url, method, headers, body, *of)

    exchange.on_rest_response = on_rest_response

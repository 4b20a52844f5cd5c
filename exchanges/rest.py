"""The thin skin around a venue's REST interface: one GET, within the budget, with typed errors only."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

import httpx

from core.errors import TransientError, UserError, VenueError
from exchanges.breaker import BANS
from exchanges.budgets import Admission, Budgets, Wish
from exchanges.hosts import counted, is_loopback
from exchanges.refusal import VenueRefusal, refusal
from exchanges.retry_after import retry_after
from exchanges.venue import Request, Venue

MAX_BODY = 32 * 1024 * 1024
"""Bytes of an answer, unpacked; the longest list of instruments is about half of that."""

_TIMEOUT = 10.0
_MARGIN = 1.05
_ON_ITS_WAY = 0.25
"""We count when a request is sent, the venue when it arrives: a window of ours is longer by a twentieth, and by these
seconds at least: a twentieth of a window as short as OKX's 2 s is less than a busy machine may hold a request up."""


class Held(TransientError):  # noqa: N818 - a state of affairs
    """Report that nothing is sent to the host for ``retry_after`` seconds: it failed again and again."""

    def __init__(self, words: str, seconds: float) -> None:
        super().__init__(words)
        self.retry_after = seconds


class Throttled(Held):
    """Report that the venue wants no requests for ``retry_after`` seconds."""

    def __init__(self, host: str, status: int, seconds: float) -> None:
        super().__init__(f"{host} answered {status} and wants no requests for {seconds:.0f} s", seconds)
        self.status = status


class Limited(Exception):  # noqa: N818 - on its way to become one of the above
    """Tell `Rest` of an answer by which the host wants no more requests, for ``said`` seconds where it says so."""

    def __init__(self, status: int, said: float | None) -> None:
        super().__init__(status)
        self.status, self.said = status, said


class Rest:
    """Ask one venue, within the budget and the breaker of its host.

    All that ask a host from this machine give the same ``budgets``; without any it has its own. ``client`` is for
    tests and proxies; it is closed by who made it. ``timeout`` is seconds for a whole answer. ``clock_doubts`` counts
    the refusals that blamed our clock. Raises `UserError` where the venue's address is none.
    """

    def __init__(
        self,
        venue: Venue,
        *,
        client: httpx.AsyncClient | None = None,
        timeout: float | None = None,
        budgets: Budgets | None = None,
    ) -> None:
        self._url = venue.rest_url.rstrip("/")
        address = _address(self._url)
        self.host = counted(venue.exchange, self._url)
        self.clock_doubts = 0
        self._budget, self._budgets = venue.budget, budgets or Budgets()
        self._window = max(self._budget.seconds * _MARGIN, self._budget.seconds + _ON_ITS_WAY)
        self._given, self._trusting = client, not is_loopback(address.host)
        self._timeout = _TIMEOUT if timeout is None else timeout
        self._turn = asyncio.Lock()
        self._trials: set[asyncio.Task[bytes]] = set()

    async def get(self, request: Request) -> bytes:
        """Give the body of the answer, or the value of the header that the request names.

        Waits until the budget has room. Raises `Throttled` where the venue limits us, `Held` where the host failed
        several times in a row, and until that is over for every request without sending it; `TransientError` for
        network, 5xx, redirects and what is not JSON; `VenueRefusal` with the venue's code and words for what it
        refuses, `VenueError` for what the host refuses without a word of the venue's.
        """
        admission = await self._admitted(request.weight)
        if not admission.trial:
            return await self._told(request, admission)
        # Everybody waits for how it ends, also where the one who asks does not.
        trial = asyncio.create_task(self._told(request, admission))
        self._trials.add(trial)
        trial.add_done_callback(self._tried)
        return await asyncio.shield(trial)

    async def close(self) -> None:
        """Close the connections."""
        for trial in self._trials:
            trial.cancel()
        await asyncio.gather(*self._trials, return_exceptions=True)
        if self._given is None and "_client" in vars(self):
            await self._client.aclose()

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        # Not before it is used: some venues are asked through a library of their own.
        return self._given or httpx.AsyncClient(trust_env=self._trusting)

    async def _admitted(self, weight: int) -> Admission:
        wish = Wish("rest", weight, self._budget.weight, self._window)
        async with self._turn:
            while True:
                admission = await asyncio.to_thread(self._budgets.admit, self.host, wish)
                if admission.held and admission.status:
                    raise Throttled(self.host, admission.status, admission.wait)
                if admission.held:
                    words = f"{self.host} is left alone for {admission.wait:.0f} s: {admission.why}"
                    raise Held(words, admission.wait)
                if admission.wait <= 0:
                    return admission
                await asyncio.sleep(admission.wait)

    async def _told(self, request: Request, admission: Admission) -> bytes:
        """Send it, and tell the breaker how it ended."""
        budgets, trial = self._budgets, admission.trial
        try:
            answer = await self._answer(request)
        except Limited as limit:
            why = f"it answered {limit.status}"
            seconds = await asyncio.to_thread(budgets.banned, self.host, limit.status, limit.said, why, trial=trial)
            raise Throttled(self.host, limit.status, seconds) from None
        except TransientError as error:
            await asyncio.to_thread(budgets.failed, self.host, str(error), trial=trial)
            raise
        except VenueError as error:
            self.clock_doubts += isinstance(error, VenueRefusal) and error.of_clocks
            await self._succeeded(admission)
            raise
        await self._succeeded(admission)
        return answer

    async def _succeeded(self, admission: Admission) -> None:
        if admission.report:
            await asyncio.to_thread(self._budgets.succeeded, self.host, trial=admission.trial)

    def _tried(self, trial: asyncio.Task[bytes]) -> None:
        self._trials.discard(trial)
        if not trial.cancelled():
            # Nobody may be there any more to hear of it.
            trial.exception()

    async def _answer(self, request: Request) -> bytes:
        where = f"{self.host}{request.path}"
        try:
            async with asyncio.timeout(self._timeout):
                status, headers, body = await self._exchange(request)
        except TimeoutError:
            raise TransientError(f"{where} took longer than {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError, zlib.error) as error:
            raise TransientError(f"{where}: {_words(error)}") from None
        _check(where, status, headers, body)
        return body if request.header is None else _header(where, headers, request.header)

    async def _exchange(self, request: Request) -> tuple[int, httpx.Headers, bytes]:
        asked: dict[str, Any] = {
            "params": dict(request.params) or None,
            "headers": {"accept-encoding": "gzip", "user-agent": "tidemill"},
            "follow_redirects": False,
            "timeout": self._timeout,
        }
        async with self._client.stream("GET", self._url + request.path, **asked) as response:
            packing = response.headers.get("content-encoding", "").strip().lower()
            return response.status_code, response.headers, await _body(response.aiter_raw(), packing)


def _check(where: str, status: int, headers: httpx.Headers, body: bytes) -> None:
    said = refusal(body)
    if (status in BANS and (status != 403 or said is None or said.limited)) or (said and said.limited):
        raise Limited(status if status in BANS else 429, retry_after(headers.get("retry-after")))
    if 400 <= status < 500 and said is None:
        raise VenueError(f"{where} answered {status}: no words of the venue's")
    if status >= 500 or not (status == 200 or 400 <= status < 500):
        raise TransientError(f"{where} answered {status}")
    if said is not None and said.passing:
        raise TransientError(f"{where} answered {status}: {said.code}: {said.words}")
    if said is not None:
        raise VenueRefusal(f"{where} answered {status}: {said.code}: {said.words}", said.code)
    if body.lstrip()[:1] not in (b"{", b"["):
        raise TransientError(f"{where} answered something else than JSON: is there a login page in between?")


def _header(where: str, headers: httpx.Headers, name: str) -> bytes:
    for header, value in headers.raw:
        if header.lower() == name.lower().encode():
            return value
    raise TransientError(f"the answer to {where} has no header {name!r}")


async def _body(chunks: AsyncIterator[bytes], packing: str) -> bytes:
    if packing not in ("", "identity", "gzip"):
        raise httpx.DecodingError(f"the answer is packed as {packing[:20]!r}, which was not asked for")
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS) if packing == "gzip" else None
    parts, size = [], 0
    async for chunk in chunks:
        # Unpacked with a bound: a few KB can stand for gigabytes.
        part = unpacker.decompress(chunk, MAX_BODY - size + 1) if unpacker else chunk
        size += len(part)
        if size > MAX_BODY:
            raise httpx.DecodingError(f"the answer is longer than {MAX_BODY >> 20} MiB")
        parts.append(part)
    if unpacker and not unpacker.eof:
        raise httpx.DecodingError("the packed answer ends too early")
    return b"".join(parts)


def _words(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host or (address.port or 1) > 65_535:
        raise UserError(f"{url[:120]!r} is no REST address: write https://host or http://host")
    return address

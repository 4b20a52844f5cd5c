"""The thin skin around a venue's REST interface: one GET, within the budget, with typed errors only."""

import asyncio
import ipaddress
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec

from core.errors import TransientError, UserError, VenueError
from exchanges.allowance import Allowance
from exchanges.retry_after import retry_after
from exchanges.venue import Request, Venue

MAX_BODY = 32 * 1024 * 1024
"""Bytes of an answer, unpacked; the longest list of instruments is about half of that."""

_TIMEOUT = 10.0
_MARGIN = 1.05
_BANNED = 120.0
_TOO_MANY = 60.0


class Throttled(TransientError):  # noqa: N818 - a state of affairs, like the status it comes from
    """Report that the venue wants no requests for ``retry_after`` seconds."""

    def __init__(self, host: str, status: int, seconds: float) -> None:
        super().__init__(f"{host} answered {status} and wants no requests for {seconds:.0f} s")
        self.status = status
        self.retry_after = seconds


class Rest:
    """Ask one venue. Use one for all that ask the same address: it holds the budget.

    ``client`` is for tests and proxies; it is closed by who made it. ``timeout`` is seconds for a whole answer.
    Raises `UserError` where the venue's address is none.
    """

    def __init__(self, venue: Venue, *, client: httpx.AsyncClient | None = None, timeout: float = _TIMEOUT) -> None:
        self._url = venue.rest_url.rstrip("/")
        address = _address(self._url)
        self._host = address.netloc.decode()
        self._allowance = Allowance(venue.budget.weight, venue.budget.seconds * _MARGIN)
        self._own = client is None
        self._client = client or httpx.AsyncClient(trust_env=not _is_loopback(address.host))
        self._timeout = timeout
        self._turn = asyncio.Lock()
        self._held: tuple[float, int] = (0.0, 0)

    async def get(self, request: Request) -> bytes:
        """Give the body of the answer.

        Waits until the budget has room. Raises `Throttled` where the venue limits us, and until that is over for
        every request without sending it; `TransientError` for network, 5xx, redirects and what is not JSON;
        `VenueError` with the venue's code and words for what it refuses.
        """
        await self._room(request.weight)
        try:
            async with asyncio.timeout(self._timeout):
                status, headers, body = await self._exchange(request)
        except TimeoutError:
            raise TransientError(f"{self._host}{request.path} took longer than {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError, zlib.error) as error:
            raise TransientError(f"{self._host}{request.path}: {_words(error)}") from None
        self._check(request, status, headers, body)
        return body

    async def close(self) -> None:
        """Close the connections."""
        if self._own:
            await self._client.aclose()

    async def _room(self, weight: int) -> None:
        clock = asyncio.get_running_loop().time
        async with self._turn:
            while True:
                self._refuse_while_held()
                pause = self._allowance.wait(weight, clock())
                if pause <= 0:
                    break
                await asyncio.sleep(pause)
            self._allowance.take(weight, clock())

    def _refuse_while_held(self) -> None:
        until, status = self._held
        left = until - asyncio.get_running_loop().time()
        if left > 0:
            raise Throttled(self._host, status, left)

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

    def _check(self, request: Request, status: int, headers: httpx.Headers, body: bytes) -> None:
        where = f"{self._host}{request.path}"
        said = _refusal(body)
        if status in (418, 429) or (status == 403 and said is None):
            seconds = retry_after(headers.get("retry-after"), _TOO_MANY if status == 429 else _BANNED)
            self._held = (max(self._held[0], asyncio.get_running_loop().time() + seconds), status)
            raise Throttled(self._host, status, seconds)
        if 400 <= status < 500:
            words = f"{said[0]}: {said[1]}" if said else "no words of the venue's"
            raise VenueError(f"{where} answered {status}: {words}")
        if status != 200:
            raise TransientError(f"{where} answered {status}")
        if body.lstrip()[:1] not in (b"{", b"["):
            raise TransientError(f"{where} answered something else than JSON: is there a login page in between?")


class _Refusal(msgspec.Struct, frozen=True):
    code: int
    msg: str


def _refusal(body: bytes) -> tuple[int, str] | None:
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return refusal.code, " ".join(refusal.msg[:200].split())


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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""TLS is never off: certificates that nobody vouches for, or that are over, are refused, and count as failures."""

import asyncio
import contextlib
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.errors import TransientError
from exchanges.dial import connect
from exchanges.registry import venue
from exchanges.rest import Held, Rest

NOW = datetime.now(UTC)


def certificate(folder, begin: datetime, end: datetime, address: str = "127.0.0.1") -> str:
    """Write a key and a certificate that it signs itself; give the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exchange")])
    usage = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(usage, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    kept = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "exchange.pem"
    path.write_bytes(kept + made.public_bytes(pem))
    return str(path)


@contextlib.asynccontextmanager
async def exchange(path: str):
    heads: list[bytes] = []

    async def answer(reader, writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{"serverTime":1}')
            await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], heads


VALID = (NOW - timedelta(days=1), NOW + timedelta(days=1), "127.0.0.1")
OVER = (NOW - timedelta(days=2), NOW - timedelta(days=1), "127.0.0.1")
ELSEWHERE = (*VALID[:2], "192.0.2.1")


@pytest.mark.parametrize(
    ("terms", "trusted", "words"),
    [
        (VALID, True, None),
        (VALID, False, "self-signed certificate"),
        (OVER, True, "certificate has expired"),
        (ELSEWHERE, True, "mismatch"),
    ],
)
def test_rest_reads_nothing_from_who_cannot_prove_who_he_is(tmp_path, terms, trusted, words) -> None:
    path = certificate(tmp_path, *terms)

    async def run() -> None:
        async with exchange(path) as (port, heads), contextlib.AsyncExitStack() as stack:
            market, client = venue("binance", rest_url=f"https://127.0.0.1:{port}"), None
            if trusted:
                context = ssl.create_default_context(cafile=path)
                client = await stack.enter_async_context(httpx.AsyncClient(verify=context, trust_env=False))
            rest = Rest(market, client=client)
            stack.push_async_callback(rest.close)
            if words is None:
                assert await rest.get(market.time_request()) == b'{"serverTime":1}'
                return
            for _ in range(5):
                with pytest.raises(TransientError, match=words) as caught:
                    await rest.get(market.time_request())
                assert caught.type is TransientError
            with pytest.raises(Held, match=words):
                await rest.get(market.time_request())
            assert heads == [], "nothing was said to him"

    asyncio.run(run())


def test_a_websocket_says_nothing_to_who_cannot_prove_who_he_is(tmp_path) -> None:
    path = certificate(tmp_path, *VALID)

    async def run() -> None:
        async with exchange(path) as (port, heads):
            with pytest.raises(TransientError, match="self-signed certificate"):
                await connect(f"wss://127.0.0.1:{port}/x", venue("binance").limits, lambda: None, 5.0)
            assert heads == []

    asyncio.run(run())

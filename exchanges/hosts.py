"""Hosts: what venues count by."""

import ipaddress
from urllib.parse import urlsplit

_DEFAULTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def host(url: str) -> str:
    """Give host and port of an address; without the port where it is the usual one. No name or password is in it.

    A websocket and a REST interface of the same server have the same host.

    Example:
        >>> host("wss://Stream.Binance.com:9443/stream"), host("wss://www.deribit.com:443/ws/api/v2")
        ('stream.binance.com:9443', 'www.deribit.com')
    """
    try:
        parts = urlsplit(url)
        name, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    name = f"[{name}]" if ":" in name else name
    return name if port in (None, _DEFAULTS.get(parts.scheme)) else f"{name}:{port}"


def counted(exchange: str, url: str) -> str:
    """Give what requests to an address are counted by: its host.

    On this machine one server may stand in for several exchanges, as the simulator does, and a proxy for any: there
    each exchange counts for itself.

    Example:
        >>> counted("okx", "https://www.okx.com/ws/v5"), counted("okx", "ws://127.0.0.1:9443/ws/v5")
        ('www.okx.com', 'okx@127.0.0.1:9443')
    """
    found = host(url)
    return f"{exchange}@{found}" if is_loopback(urlsplit(f"//{found}").hostname or "") else found


def is_loopback(name: str) -> bool:
    """Tell whether a name or number is this machine's own."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"

"""Hosts: what venues count by."""

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

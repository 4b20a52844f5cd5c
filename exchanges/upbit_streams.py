"""How streams are asked of Upbit: one message for all of them."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec


def message(streams: Sequence[str]) -> str:
    """Give the message after which these streams come, ``type:code`` each, and no others.

    Of trades only new ones are asked for: the latest of an idle market may be days old, and would come again with
    every connection. Of books only the best level is.
    """
    types: dict[str, dict[str, Any]] = {}
    for kind, _, code in (stream.partition(":") for stream in streams):
        wanted = types.setdefault(kind, {"type": kind, "codes": []})
        wanted["codes"].append(f"{code}.1" if kind == "orderbook" else code)
        if kind == "trade":
            wanted["is_only_realtime"] = True
    ticket = blake2b("\n".join(streams).encode(), digest_size=16).hexdigest()
    return msgspec.json.encode([{"ticket": ticket}, *types.values(), {"format": "DEFAULT"}]).decode()

"""The simulator's venue: Binance's spot protocol under a name of its own.

What is invented never bears a real exchange's name, so that it cannot be taken for recorded trades.
"""

from dataclasses import replace

from exchanges.binance import SPOT

SIMULATED = replace(
    SPOT,
    name="simulated",
    exchange="simulated",
    websocket_url="ws://127.0.0.1:9443",
    rest_url="http://127.0.0.1:9443",
)

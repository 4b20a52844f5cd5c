"""The wire: one trade as Binance spot sends it (combined streams, channel ``trade``)."""

from dataclasses import dataclass

from core.trades import TradeBatch


@dataclass(slots=True)
class Frame:
    """Hold one frame: when it was received (µs since the epoch, UTC), its bytes, and which trade it tells.

    ``ts`` is the trade's event time (µs). ``trade_id`` is -1 where the frame tells none.
    """

    received: int
    payload: bytes
    instrument: str
    trade_id: int
    ts: int


def payload(symbol: str, trade_id: int, price: float, size: float, ts: int, side: int, sent: int) -> bytes:
    """Write one trade as the venue does.

    ``ts`` and ``sent`` are µs, written as whole ms (``T`` and ``E``); ``m`` says that the buyer was the maker,
    so that the taker sold. Price and size have eight decimals. Source: Binance, "WebSocket Streams", Trade
    Streams, and captured frames.
    """
    return (
        f'{{"stream":"{symbol.lower()}@trade","data":{{"e":"trade","E":{sent // 1000},"s":"{symbol}",'
        f'"t":{trade_id},"p":"{price:.8f}","q":"{size:.8f}","T":{ts // 1000},'
        f'"m":{"false" if side > 0 else "true"},"M":true}}}}'
    ).encode()


def render(batch: TradeBatch, symbol: str) -> list[Frame]:
    """Give one frame a trade, in the order of the rows; ``symbol`` is the venue's own, in upper case."""
    # The venue sends within a millisecond or two; most of what passes until receipt is the way.
    columns = (batch.ids, batch.price, batch.size, batch.ts, batch.side, batch.received)
    return [
        Frame(
            received,
            payload(symbol, trade_id, price, size, ts, side, ts + (received - ts) // 3),
            batch.instrument,
            trade_id,
            ts,
        )
        for trade_id, price, size, ts, side, received in zip(*(c.tolist() for c in columns), strict=True)
    ]

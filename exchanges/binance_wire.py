"""The frames of Binance as they are on the wire: members and types, nothing computed.

Source: binance/binance-spot-api-docs web-socket-streams.md; USD-M differs in the order of members only.
Members that are not named here may come and are passed over.
"""

from msgspec import UNSET, Raw, Struct, UnsetType, field


class Head(Struct, frozen=True):
    """Hold what tells one frame from another, in the raw and in the combined form."""

    stream: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    e: str | UnsetType = UNSET
    s: str | UnsetType = UNSET
    u: Raw | UnsetType = UNSET
    last_update_id: Raw | UnsetType = field(name="lastUpdateId", default=UNSET)
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    code: Raw | UnsetType = UNSET


class TradeEvent(Struct, frozen=True):
    """Hold ``<symbol>@trade``."""

    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class AggregateEvent(Struct, frozen=True):
    """Hold ``<symbol>@aggTrade``."""

    E: int
    s: str
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 - the venue's name
    T: int
    m: bool


class BookTicker(Struct, frozen=True):
    """Hold ``<symbol>@bookTicker``; spot sends neither ``e`` nor a time."""

    u: int
    s: str
    b: str
    B: str
    a: str
    A: str
    T: int | UnsetType = UNSET
    E: int | UnsetType = UNSET


class KlineBody(Struct, frozen=True):
    """Hold the candle inside ``<symbol>@kline_<interval>``."""

    t: int
    s: str
    i: str
    f: int
    L: int
    o: str
    c: str
    h: str
    l: str  # noqa: E741 - the venue's name
    v: str
    n: int
    x: bool
    q: str
    V: str
    Q: str


class KlineEvent(Struct, frozen=True):
    """Hold ``<symbol>@kline_<interval>``."""

    E: int
    s: str
    k: KlineBody


class MarkPriceEvent(Struct, frozen=True):
    """Hold ``<symbol>@markPrice``; a contract that is delivered on a date has no funding: ``r`` "" and ``T`` 0.

    ``i`` is 0 or null while there is no index.
    """

    E: int
    s: str
    p: str
    i: str | None
    r: str
    T: int


class ShutdownEvent(Struct, frozen=True):
    """Hold ``serverShutdown``."""

    E: int


class Reply(Struct, frozen=True):
    """Hold the answer to a request that was accepted."""

    id: int | str | None


class Refusal(Struct, frozen=True):
    """Hold the code and the words of a refusal."""

    code: int
    msg: str


class RefusalReply(Struct, frozen=True):
    """Hold the answer to a request that was refused."""

    error: Refusal
    id: int | str | None = None

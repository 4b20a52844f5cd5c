"""What venues say when they refuse a request, each in its own envelope."""

import msgspec

from core.errors import VenueError

_LONGEST = 65_536
"""Bytes; refusals are short, and longer answers need not be read twice."""

_SOUND = ("0", "00000", "200")
_LIMITED = {
    "bybit": ("10006", "10018"),
    "plain": ("50011", "-1003", "-1015"),
    "error": ("10028", "too_many_requests"),
}
_PASSING = {
    "bybit": ("10000", "10016"),
    "plain": ("-1000", "-1001", "-1007", "-1008", "50001", "50004", "50013", "50026"),
}
_CLOCK = ("-1021", "10002", "50102", "40005", "40008")


class VenueRefusal(VenueError):  # noqa: N818 - what it is
    """Report what a venue refused, with its code as text (empty where it gives none)."""

    def __init__(self, cause: str, code: str = "") -> None:
        super().__init__(cause)
        self.code = code

    @property
    def of_clocks(self) -> bool:
        """Tell whether the venue says that our clock is not its own.

        Source: Binance -1021, Bybit 10002, OKX 50102, Bitget 40005 and 40008.
        """
        return self.code in _CLOCK


class Refusal(msgspec.Struct, frozen=True):
    """Hold a venue's code (as text) and words; ``limited``: we ask too much; ``passing``: try again."""

    code: str
    words: str
    limited: bool = False
    passing: bool = False


class _Error(msgspec.Struct, frozen=True):
    code: int | str | None = None
    name: int | str | None = None
    message: str = ""


class _Answer(msgspec.Struct, frozen=True):
    code: int | str | None = None
    msg: str | None = None
    message: str | None = None
    ret_code: int | None = msgspec.field(name="retCode", default=None)
    ret_msg: str = msgspec.field(name="retMsg", default="")
    error: _Error | None = None


def refusal(body: bytes) -> Refusal | None:
    """Read the refusal that an answer is; None where it is something else.

    Source: ``{"code": -1121, "msg"}`` Binance, ``{"code": "51001", "msg"}`` OKX and Bitget (``"0"`` and ``"00000"``
    are answers), ``{"retCode", "retMsg"}`` Bybit, ``{"error": {"code" | "name", "message"}}`` Deribit and Upbit. The
    last four of them come with HTTP 200, too.
    """
    if len(body) > _LONGEST:
        return None
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if answer.error is not None:
        code = answer.error.code if answer.error.code is not None else answer.error.name
        return _of("error", code, answer.error.message)
    if answer.ret_code is not None:
        return _of("bybit", answer.ret_code, answer.ret_msg)
    words = answer.msg if answer.msg is not None else answer.message
    return None if answer.code is None or words is None else _of("plain", answer.code, words)


def _of(kind: str, code: int | str | None, words: str) -> Refusal | None:
    told = "" if code is None else " ".join(str(code)[:40].split())
    if told in _SOUND:
        return None
    said = " ".join(words[:200].split())
    return Refusal(told, said, told in _LIMITED.get(kind, ()), told in _PASSING.get(kind, ()))

"""What Binance answers to a request that it refuses.

Source: binance/binance-spot-api-docs errors.md, and for USD-M the error codes of its own documentation.
"""


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of ours
    """Refuse a REST request: the HTTP status, Binance's code and its words."""

    def __init__(self, code: int, words: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(words)
        self.code, self.words, self.status, self.headers = code, words, status, headers or {}


def illegal(name: str, pattern: str) -> Refusal:
    """Refuse a value of the wrong letters."""
    return Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")


def unread(read: int, sent: int) -> Refusal:
    """Refuse a request with parameters that the endpoint does not have."""
    return Refusal(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def missing(name: str) -> Refusal:
    """Refuse a request that lacks a parameter."""
    return Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def empty(name: str) -> Refusal:
    """Refuse a parameter without a value."""
    return Refusal(-1105, f"Parameter '{name}' was empty.")


def combination() -> Refusal:
    """Refuse parameters that exclude each other."""
    return Refusal(-1128, "Combination of optional parameters invalid.")


def invalid(name: str) -> Refusal:
    """Refuse a value out of bounds."""
    return Refusal(-1130, f"Data sent for parameter '{name}' is not valid.")


def bad_interval() -> Refusal:
    """Refuse an interval that there is not."""
    return Refusal(-1120, "Invalid interval.")


def bad_symbol() -> Refusal:
    """Refuse a symbol that there is not."""
    return Refusal(-1121, "Invalid symbol.")

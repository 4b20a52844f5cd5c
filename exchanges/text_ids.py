"""Trade ids that are text, as numbers."""

from hashlib import blake2b

from core.errors import MalformedFrame
from exchanges.bounds import MAX_ID, MAX_TEXT, identifier


def text_id(text: str) -> int:
    """Give a trade id as an int64, always the same for the same text.

    Digits are the number that they write. Of any other text (Bybit's UUIDs) it is the first 8 bytes of BLAKE2b,
    big-endian, with the top bit set, as a signed number: less than 0, because such an id counts nothing (see
    `core.trades.TradeBatch.places`). Two of a million ids of one instrument are equal with a probability of 1 in 18
    million. Raises `MalformedFrame` for no text, more than 40 characters, text that is not
    printable ASCII, and digits beyond int64.

    Example:
        >>> text_id("2100000000007764263"), text_id("20f43950-d8dd-5b31-9112-a178eb6023af")
        (2100000000007764263, -2349697982512692747)
    """
    if not 1 <= len(text) <= MAX_TEXT or not text.isascii() or not text.isprintable():
        raise MalformedFrame(f"trade id {text[:MAX_TEXT]!r} is not 1 to {MAX_TEXT} printable ASCII characters")
    if text.isdigit():
        if len(text) > 1 and text[0] == "0":
            raise MalformedFrame(f"trade id {text!r} is a number with leading zeros")
        return identifier(int(text), "trade id")
    return (int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") & MAX_ID) - MAX_ID - 1

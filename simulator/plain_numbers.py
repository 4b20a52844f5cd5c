"""Numbers as venues write them: plain decimals, as text or as JSON numbers."""

from decimal import Decimal


def plain(value: float | Decimal | str) -> str:
    """Write a number without exponent and without zeros at its end: ``43528``, ``0.0334``.

    A float stands for its shortest decimal.
    """
    text = repr(value) if isinstance(value, float) else str(value)
    if "e" in text or "E" in text:
        text = f"{Decimal(text):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def double(value: float | Decimal | str) -> str:
    """Write a JSON number as Java and Erlang write a double that is not too small: ``109847000.0``, ``0.0334``."""
    text = plain(value)
    return text if "." in text else f"{text}.0"

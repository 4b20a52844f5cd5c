"""Redaction: no secret leaves the process in a log, an error or a traceback."""

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

HIDDEN = "[redacted]"

_SECRET_FIELD = re.compile(
    r"passw|secret|token|passphrase|credential|authoriz|api_?key|private_?key|signature|cookie", re.I
)
_SHORTEST = 4


class Redaction:
    """Take secrets out of what is about to be written, by field name and by value.

    A value shorter than four characters is hidden by its field only: taken out of running text it would
    blank harmless words.
    """

    def __init__(self, secrets: frozenset[str] = frozenset()) -> None:
        # Longest first: a secret that holds another must not leave its ends behind.
        self._secrets = sorted((s for s in secrets if len(s) >= _SHORTEST), key=len, reverse=True)

    @classmethod
    def of(cls, settings: BaseModel) -> "Redaction":
        """Know every secret of the settings, and the passwords inside secret addresses."""
        return cls(frozenset(_secrets(settings)))

    def text(self, text: str) -> str:
        """Take every known secret out of a text."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def value(self, value: Any) -> Any:
        """Take secrets out of a value of any depth; mappings also by the names of their fields."""
        if isinstance(value, SecretStr):
            return HIDDEN
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "replace"))
        if isinstance(value, Mapping):
            return {k: HIDDEN if _SECRET_FIELD.search(str(k)) else self.value(v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        """Redact one log event (the signature is structlog's)."""
        redacted: dict[str, Any] = self.value(event)
        return redacted


def _secrets(section: BaseModel) -> Iterator[str]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, BaseModel):
                yield from _secrets(item)
            elif isinstance(item, SecretStr):
                yield item.get_secret_value()
                yield from _passwords(item.get_secret_value())


def _passwords(address: str) -> Iterator[str]:
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)

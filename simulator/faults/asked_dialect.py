"""Which dialect a REST request is in: told by its path."""

import re
from collections.abc import Sequence

from simulator.dialect import Dialect

_BINANCE = (("/api/v3/", "binance"), ("/fapi/v1/", "binance-usdm"))


class AskedDialect:
    """Know the paths of all dialects."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self._paths = [
            (re.compile(re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(endpoint.path))), dialect.name)
            for dialect in dialects
            for endpoint in dialect.endpoints()
        ]

    def of(self, path: str) -> str:
        """Give the dialect of a path; an empty text for one that is nobody's."""
        for start, name in _BINANCE:
            if path.startswith(start):
                return name
        return next((name for pattern, name in self._paths if pattern.fullmatch(path)), "")

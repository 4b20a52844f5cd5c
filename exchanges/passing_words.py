"""Whether a refusal passes, by the venue's words, where its code does not say so."""

import re

_PASSING = re.compile(
    r"internal (?:server )?error|server (?:error|timeout|busy)|system (?:error|busy)|service unavailable"
    r"|temporarily unavailable|too many (?:requests|visits|connections)|too frequent|rate limit|try again"
    r"|maintenance|timed? ?out",
    re.IGNORECASE,
)
_LONGEST = 400


def passing(words: str) -> bool:
    """Tell whether a venue's words blame its own state or how often it was asked, and not what was asked.

    Example:
        >>> passing("Internal server error"), passing("rate limit exceeded"), passing("Invalid symbol")
        (True, True, False)
    """
    return _PASSING.search(words[:_LONGEST]) is not None

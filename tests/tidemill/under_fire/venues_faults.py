"""What is done to every dialect at a time, drawn by a seed: a scenario that hits each in another way."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from venues_arena import CHAINING, SPOKEN

Step = dict[str, Any]
Play = Callable[[Random], list[Step]]

SPEAKING = ("binance", "okx", "bybit", "deribit", "bitget", "upbit")
SECONDS = 10.0
"""All is over after so long."""
SILENT = 8.0
"""Longer than a silence takes to be noticed: where ids do not chain, a shorter one leaves no trace."""


def _drop(how: str) -> Play:
    return lambda draw: [{"fault": "drop", "how": how, "at": draw.uniform(0, 4)}, {"fault": "drop", "at": 7}]


def _while_rest_fails(*refusals: Step) -> Play:
    return lambda draw: [
        {"fault": "drop", "at": draw.uniform(0.5, 2)},
        *({"at": 0, "for": draw.uniform(5, 8), **one} for one in refusals),
    ]


def _lasting(fault: str, **parameters: Any) -> Play:
    return lambda draw: [{"fault": fault, "at": draw.uniform(0, 1), "for": SILENT, **parameters}]


def _again(fault: str, **parameters: Any) -> Play:
    return lambda draw: [
        {"fault": fault, "at": draw.uniform(0, 1), "every": 2.5, "times": 3, "for": 2.0, **parameters}
    ]


PLAYS: dict[str, Play] = {
    "cut": _drop("reset"),
    "closed": _drop("close"),
    "cut inside a frame": _drop("mid_frame"),
    "cut again and again": lambda draw: [{"fault": "drop", "every": 1.3, "times": 6, "at": draw.random()}],
    "half open": _lasting("half_open"),
    "silent": _lasting("silence"),
    "silent trades": _lasting("silence", channels=["trade"]),
    "silent from the start": lambda draw: [{"fault": "drop", "at": 0.5}, *_lasting("silence")(draw)],
    "one silent": _lasting("silence", channels=["trade"], instruments=["ETH-USDT", "AVAX-USDT-PERP"]),
    "twice": _again("duplicate"),
    "twice, late": _lasting("duplicate", after=3.0),
    "in disorder": _again("reorder", within=7),
    "contradicted": lambda draw: [{"fault": "conflict", "every": 2.5, "times": 3, "at": draw.random(), "count": 3}],
    "garbage": _again("garbage"),
    "garbage instead": _again("garbage", instead=True),
    "huge frame": lambda draw: [{"fault": "huge_frame", "size": 20_000_000, "at": draw.uniform(0, 3)}],
    "deep nesting": lambda draw: [{"fault": "deep_nesting", "at": draw.uniform(0, 3)}],
    "ended, announced": lambda draw: [{"fault": "cut_24h", "announced": True, "notice": 3, "at": draw.random()}],
    "ended": lambda draw: [{"fault": "cut_24h", "announced": False, "at": draw.uniform(0, 4)}],
    "dripping": _lasting("slow_drip", rate=300.0),
    "not let in": lambda draw: [{"fault": "refuse_connect", "for": 5, "at": 0.9}, {"fault": "drop", "at": 1}],
    "REST says 429": _while_rest_fails({"fault": "status", "status": 429, "retry_after": 4}),
    "REST says 503": _while_rest_fails({"fault": "status", "status": 503}),
    "REST shows a portal": _while_rest_fails({"fault": "html"}),
    "a topic refused": lambda draw: [
        {"fault": "drop", "at": draw.uniform(1, 2)},
        {"fault": "bad_topic", "at": 0, "for": 6, "instruments": ["ETH-USDT", "LINK-USDT-PERP"]},
    ],
    "delisted": _lasting("delist", instruments=["ETH-USDT", "LINK-USDT-PERP"]),
    "of other contracts": _lasting("contract_size", multiplier=10.0),
    "of another time": lambda draw: [
        {"fault": "clock_skew", "at": 1, "for": 6, "ms": draw.choice([-5000, 700, 5000])},
        {"fault": "drop", "at": 4},
    ],
    "REST is slow": _while_rest_fails({"fault": "slow_rest", "delay": 1.5}),
}
"""What any venue may do."""

HOLES: dict[str, Play] = {
    "skipped": lambda draw: [{"fault": "skip", "every": 3, "times": 3, "count": draw.randrange(1, 30)}],
    "skipped for ever": lambda draw: [
        {"fault": "skip", "at": draw.uniform(0, 3), "count": 5, "served": False, "instruments": ["SOL-USDT"]}
    ],
    "skipped while REST fails": lambda draw: [
        {"fault": "skip", "at": 1, "count": 5},
        {"fault": "status", "status": 429, "retry_after": 3, "at": 0, "for": 5},
    ],
}
"""What only ids that chain can tell; what REST never has is of a market that only Binance's feed records."""


def play(dialect: str, name: str, draw: Random) -> list[Step]:
    """Give the steps of what is done to one dialect."""
    steps = (PLAYS | HOLES)[name](draw)
    recorded = {name for one in SPOKEN if one.exchange == dialect for name in one.instruments}
    for step in steps:
        if "instruments" in step:
            step["instruments"] = [name for name in step["instruments"] if name in recorded]
    # The venue's clock is that of the whole exchange.
    return [step if step["fault"] == "clock_skew" else {**step, "dialects": [f"{dialect}*"]} for step in steps]


def drawn(seed: int) -> tuple[dict[str, str], list[Step]]:
    """Draw what is done to whom; give the names by dialect, and the steps."""
    draw = Random(seed)
    of = {one: [*PLAYS, *(HOLES if one in CHAINING else ())] for one in SPEAKING}
    names = {
        one: draw.choice([name for name in of[one] if name != "skipped for ever" or one == "binance"]) for one in of
    }
    return names, [step for one, name in names.items() for step in play(one, name, draw)]


def scenario(steps: Sequence[Step], seed: int) -> dict[str, Any]:
    """Give a scenario of steps, as the exchange's operator takes it."""
    return {"name": "drawn", "seed": seed, "begins": "started", "steps": list(steps)}

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from rich.console import Console

from tidemill.child import ChildState, Exit
from tidemill.figures import Digits, age, lag, number, percent
from tidemill.live_table import LiveTable, PlainLines
from tidemill.liveness import Component
from tidemill.market_view import columns
from tidemill.observer import Observed
from tidemill.supervisor import Event

AT = 1_795_272_330_000_000  # 2026-11-21 14:45:30 UTC
PLACES = [("simulator", "ws://127.0.0.1:9443"), ("data", "/some/where/data"), ("try", "tidemill sql")]
NAMES = ("supervisor", "ledger", "simulator", "recorder", "market", "reviser")


def candle(start: int = AT - 30_000_000, close: str = "101965.4", complete: bool = True) -> dict[str, Any]:
    prices = {"open": "101961.7", "high": "101970", "low": "101950.25", "close": close}
    return {"start": start, **prices, "volume": "1.5", "trade_count": 1234, "complete": complete}


def row(name: str = "simulated:BTC-USDT", **values: Any) -> dict[str, Any]:
    signal = {"side": "long", "target": 1.0, "reason": "RSI", "at": AT - 480_000_000, "timeframe": "1m"}
    known = {
        "instrument": name,
        "feed": "simulated",
        "price": "101965.4",
        "move": -0.0042,
        "forming": candle(),
        "closed": candle(AT - 90_000_000, "101961.7"),
        "values": {"rsi 1m": 47.63},
        "signal": signal,
        "trades": 5000,
        "rate": 30.24,
        "traded_at": AT,
        "complete": 59 / 60,
    }
    return {**known, **values}


def observed(*rows: dict[str, Any], **changes: Any) -> Observed:
    board = {"at": AT, "instruments": list(rows), "feeds": {"simulated": {"lag_records": 0, "lag_seconds": 0.0}}}
    components = [Component(name, True, "healthy", pid=7, uptime_s=75.2, rss_bytes=200 << 20) for name in NAMES]
    children = [ChildState(name, "running", 7, AT, 0, False, None, ()) for name in NAMES[1:]]
    return replace(Observed(AT, board, components, children, ()), **changes)


def drawn(seen: Observed, width: int, height: int = 45, table: LiveTable | None = None) -> list[str]:
    out = io.StringIO()
    table = table or LiveTable(PLACES, AT - 60_000_000)
    Console(file=out, width=width, height=height).print(table.laid_out(seen, width, height))
    return out.getvalue().rstrip("\n").split("\n")


THREE = [row(), row("simulated:ETH-USDT", price="3768.5", signal=None), row("simulated:SOL-USDT", move=0.0046)]


@pytest.mark.parametrize("width", [80, 100, 120, 160, 220])
def test_everything_that_is_to_be_seen_is_seen(width: int) -> None:
    text = "\n".join(drawn(observed(*THREE), width, 24 if width == 80 else 45))
    wanted = ["BTC-USDT", "101,965.40", "-0.42%", "+0.46%", "101,950.25", "101,961.70", "47.6", "long 1, 8m"]
    for part in [*wanted, "30.2", "98%", "0s", "1.5", *NAMES, "ws://127.0.0.1:9443", "/some/where/data"]:
        assert part in text, part


EIGHTY = """\
Tidemill  14:45:30 UTC  up 1m  healthy

simulated:        last    move  rsi 1m  signal      age  trades/s  complete
BTC-USDT    101,965.40  -0.42%    47.6  long 1, 8m   0s      30.2       98%
ETH-USDT      3,768.50  -0.42%    47.6               0s      30.2       98%

simulated:  minute            open        high         low       close  volume
BTC-USDT    forming  ▲  101,961.70  101,970.00  101,950.25  101,965.40     1.5
BTC-USDT    14:44    ─  101,961.70  101,970.00  101,950.25  101,961.70     1.5
ETH-USDT    forming  ▲  101,961.70  101,970.00  101,950.25  101,965.40     1.5
ETH-USDT    14:44    ─  101,961.70  101,970.00  101,950.25  101,961.70     1.5

● supervisor  ● ledger  ● simulator  ● recorder  ● market  ● reviser

simulator  ws://127.0.0.1:9443
data       /some/where/data
try        tidemill sql
"""


def test_a_screen_of_eighty_columns_looks_like_this() -> None:
    assert "".join(f"{line.rstrip()}\n" for line in drawn(observed(*THREE[:2]), 80, 24)) == EIGHTY


def test_numbers_stand_in_line_with_the_decimals_that_were_seen() -> None:
    lines = drawn(observed(row(price="101965.4"), row("simulated:ETH-USDT", price="3768.5")), 160)
    header, first, second = lines[2:5]
    end = header.index("last") + len("last")
    assert first[:end].endswith(" 101,965.40")
    assert second[:end].endswith("   3,768.50")


def test_decimals_once_seen_stay() -> None:
    table = LiveTable(PLACES, AT)
    drawn(observed(row(price="1.2345", forming=None, closed=None)), 120, table=table)
    assert "1.5000" in "\n".join(drawn(observed(row(price="1.5", forming=None, closed=None)), 120, table=table))


@limits(max_examples=100)
@given(st.integers(40, 260), st.integers(8, 60), st.integers(0, 40), st.integers(0, 30), st.booleans())
def test_what_is_drawn_fits_the_screen(width: int, height: int, count: int, events: int, troubled: bool) -> None:
    rows = [row(f"simulated:COIN{n}-USDT") for n in range(count)]
    happened = [Event(AT, "market ended with exit code 1: " + "x" * 300)] * events
    seen = observed(*rows, events=happened)
    if troubled:
        seen = replace(seen, components=[Component(name, True, "down", ("why " * 90,)) for name in NAMES])
    lines = drawn(seen, width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(height, 14)
    if count > 1 and height > 12:
        assert any("COIN0" in line for line in lines)


def test_instruments_that_do_not_fit_are_counted() -> None:
    lines = drawn(observed(*(row(f"simulated:C{n}-USDT") for n in range(100))), 160, 30)
    shown = sum("-USDT" in line for line in lines)
    assert shown > 15
    assert f"… and {100 - shown} more" in lines


def test_a_crash_loop_is_seen_with_its_cause() -> None:
    ends = (Exit(AT, 1, None, "the disk is full"),)
    child = ChildState("market", "waiting", None, None, 6, True, AT + 4_000_000, ends)
    seen = observed(*THREE, children=[child])
    for width in (80, 160):
        text = "\n".join(drawn(seen, width))
        assert "crash loop" in text
        assert "ended with exit code 1: the disk is full" in text
        assert "6" in text


def test_how_long_no_trade_came_is_seen_though_the_feed_is_read_to_its_end() -> None:
    silent = observed(row(traded_at=AT - 42_000_000), row("simulated:ETH-USDT", traded_at=AT - 61_000_000))
    for width in (80, 160):
        head, *rows = drawn(silent, width)[2:5]
        end = head.index("age") + len("age")
        assert [line[end - 3 : end] for line in rows] == ["42s", " 1m"]
    assert "backlog" in head
    shown = {one.head: one for one in columns(silent.board, Digits(), candles=False, brief=False)}
    assert [str(cell.style) for cell in shown["age"].cells] == ["", "yellow"]
    assert [cell.plain for cell in shown["backlog"].cells] == ["0s", "0s"]


WRONG = "feed binance lags 1,234 records, 42 s behind; the lake has taken nothing for 61 s; " * 3


@pytest.mark.parametrize("width", [110, 120, 160])
def test_the_components_are_readable_when_something_is_wrong(width: int) -> None:
    broken = Component("market", True, "degraded", (WRONG.strip(),), pid=7, uptime_s=75.2, rss_bytes=200 << 20)
    seen = observed(*THREE, components=[*observed().components[:4], broken])
    lines = drawn(seen, width)
    at = next(n for n, line in enumerate(lines) if line.startswith("component"))
    assert lines[at].split() == ["component", "state", "up", "restarts", "memory", "why"]
    assert lines[at + 4].split() == ["recorder", "healthy", "1m", "0", "200.0", "MiB"]
    assert lines[at + 5].split()[:6] == ["market", "degraded", "1m", "0", "200.0", "MiB"]
    left = lines[at].index("why")
    reason = " ".join(
        line[left:].strip() for line in lines[at + 5 :] if line[:left].strip() in ("", lines[at + 5][:left].strip())
    )
    assert reason.strip().startswith(WRONG.strip())
    assert WRONG.strip() in " ".join(line.strip() for line in drawn(seen, 80))
    short = drawn(seen, width, 20)
    assert max(map(len, short)) <= width
    assert len(short) <= 20


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (observed(components=[]), "starting the components"),
        (
            observed(board=None, components=[Component("ledger", True, "down", ("the server is starting",))]),
            "waiting for ledger: the server is starting",
        ),
        (observed(row(price=None, closed=None)), "waiting for the first trade"),
        (observed(row(closed=None)), "recording; the first 1m candle closes in 30 s"),
    ],
)
def test_until_the_market_is_there_it_says_what_goes_on(seen: Observed, said: str) -> None:
    assert said in drawn(seen, 100)[0]


def test_what_comes_from_outside_cannot_drive_the_terminal() -> None:
    text = "\n".join(drawn(observed(row("simulated:\x1b[31mX"), events=[Event(AT, "\x1b[2J")]), 160))
    assert "\x1b" not in text


def test_plain_lines_come_at_intervals_and_events_once() -> None:
    written: list[str] = []
    plain = PlainLines(written.append, every=3600)
    seen = observed(row(), events=[Event(AT - 5, "market ended by SIGKILL")])
    plain.show(seen)
    plain.show(seen)
    plain.show(replace(seen, events=[*seen.events, Event(AT, "again")]))
    assert written == [
        "14:45:29  market ended by SIGKILL\n",
        "14:45:30  simulated:BTC-USDT  101,965.40  -0.42%  1m 101,961.70 101,970.00 101,950.25 101,965.40 1.5  "
        "rsi 1m 47.6  signal long 1, 8m  30.2 trades/s  age 0s  backlog 0s  complete 98%\n",
        "14:45:30  again\n",
    ]


@given(st.floats(0, 1))
def test_less_than_all_is_never_shown_as_all(share: float) -> None:
    assert (percent(share) == "100%") == (share > 1 - 1e-8)


@pytest.mark.parametrize(
    ("micros", "shown"), [(-5, "0s"), (59_999_999, "59s"), (60_000_000, "1m"), (7_200_000_000, "2h"), (1e12, "11d")]
)
def test_an_age_has_the_unit_that_suits(micros: float, shown: str) -> None:
    assert age(micros) == shown


def test_lags_and_numbers() -> None:
    assert [lag(seconds) for seconds in (0, 0.04, 1.26, 75)] == ["0s", "0.0s", "1.3s", "1m"]
    assert [number(None, 2), number("0.000000000000000001", 18)] == ["", "0.000000000000000001"]
    digits = Digits()
    digits.see(row(price=None, forming=None, closed=None))
    assert digits.price == {"simulated:BTC-USDT": 0}

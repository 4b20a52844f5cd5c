"""tidemill simulate: the exchange on this machine, alone and in the foreground."""

import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import wrap
from typing import Annotated

import typer

from core.errors import UserError
from core.instruments import Instrument
from core.settings import Settings
from core.timeframes import MINUTE
from exchanges.registry import has
from exchanges.registry import venue as venue_named
from simulator.clock import MarketClock
from simulator.dialects import Address, addresses
from simulator.exchange import SimulatedExchange
from simulator.faults.library import listed, read
from simulator.faults.scenario import Scenario
from simulator.server import serve
from simulator.tapes.bar_files import read_bars
from simulator.tapes.candle_tape import CandleTape
from simulator.tapes.invented import InventedTape
from simulator.tapes.recorded import from_recordings, from_trade_files
from simulator.tapes.tape import Tape
from tidemill.configuration import configured
from tidemill.durations import seconds
from tidemill.endpoint import listen

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_SECONDS = 0.05
# A client may subscribe to one stream after the other.
_SUBSCRIBING_SECONDS = 1.0
_LONGEST_HISTORY_HOURS = 24 * 30
_WIDTH = 80
_INDENT = " " * 15
_PATHS = {
    "binance": "/api/v3 /ws /stream",
    "binance-usdm": "/fapi/v1 /public/stream /market/stream",
    "okx": "/api/v5 /ws/v5/public /ws/v5/business",
    "bybit": "/v5/market /v5/public/spot",
    "bybit-linear": "/v5/market /v5/public/linear",
    "bybit-inverse": "/v5/market /v5/public/inverse",
    "deribit": "/api/v2 /ws/api/v2",
    "bitget": "/api/v2 /v2/ws/public",
    "bitget-usdt": "/api/v2 /v2/ws/public",
    "upbit": "/v1 /websocket/v1",
}
"""Where clients that are given no more than a host look: REST, then websockets."""


def simulate(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Recordings, trades or candles; none: invented.")
    ] = None,
    venue: Annotated[str | None, typer.Option(help="The files hold frames of this venue, one a line.")] = None,
    instrument: Annotated[
        str | None, typer.Option(help="The files hold trades of this instrument (Parquet, CSV).")
    ] = None,
    candles: Annotated[
        bool, typer.Option("--candles", help="... or its candles (Parquet, CSV, Lean's zip).")
    ] = False,
    speed: Annotated[float | None, typer.Option(help="Seconds of the market that pass in one.")] = None,
    start: Annotated[str | None, typer.Option(help="Begin here, as 2024-08-08T12:00 (UTC).")] = None,
    now: Annotated[bool, typer.Option("--now/--original-time", help="Let the beginning be the present.")] = False,
    wait: Annotated[
        bool | None, typer.Option("--wait/--no-wait", help="Stand still until a client has subscribed [files: wait].")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Fixes an invented market, and trades from candles.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="On loopback; 0 takes a free one.")] = None,
    history: Annotated[str | None, typer.Option(help="How much past an invented market has, as 24h.")] = None,
    scenario: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="What goes wrong: one of --scenarios, or a file of yours.")
    ] = None,
    scenarios: Annotated[
        bool, typer.Option("--scenarios", help="List the scenarios that there are, and end.")
    ] = False,
) -> None:
    """Serve an exchange on this machine that speaks the market-data protocols of six venues, until Ctrl-C.

    Binance's (spot and USD-M), OKX's, Bybit's, Deribit's, Bitget's and Upbit's, all on one port; not Coinbase's.
    Without files its market is invented, and nothing is stored. Files are served under their native symbols, in
    their own time; after their end it goes on answering. Any client of these venues can be pointed at it, as ccxt:
    ccxt.binance({"urls": {"api": {"public": "http://127.0.0.1:9443/api/v3"}},
    "options": {"fetchMarkets": {"types": ["spot"]}}})

    Example: tidemill simulate recording.ws.gz --venue binance --speed 10
    """
    if scenarios:
        sys.stdout.write(listed())
        return
    named = list(files or ())
    _refuse_contradictions(named, venue, instrument, candles, seed, history)
    settings = configured(ctx)
    rehearsed = None if scenario is None else read(scenario)
    begin = None if start is None else _moment(start)
    hours = settings.simulator.history_hours if history is None else _hours(history)
    # Refused before a market is drawn that takes its time.
    MarketClock(1.0 if speed is None else speed)
    listening = listen(settings.simulator.port if port is None else port, "simulator.port' or the option '--port")
    with listening:
        at = time.time_ns() // 1000 if begin is None else begin
        fixed = settings.simulator.seed if seed is None else seed
        tape = _files(named, venue, instrument, candles, fixed) if named else _invented(fixed, at, hours)
        with closing(tape) if isinstance(tape, InventedTape) else nullcontext():
            waits = bool(named) if wait is None else wait
            clock = _clock(tape, settings, speed, begin, now, waits)
            _serve(SimulatedExchange(tape, clock), listening, rehearsed)


def _hours(history: str) -> float:
    hours = seconds(history, "--history") / 3600
    if hours > _LONGEST_HISTORY_HOURS:
        raise UserError(f"--history {history[:40]!r} is too long: at most {_LONGEST_HISTORY_HOURS}h (30 days)")
    return hours


def _refuse_contradictions(
    files: Sequence[Path],
    venue: str | None,
    instrument: str | None,
    candles: bool,
    seed: int | None,
    history: str | None,
) -> None:
    if not files:
        given = {"--venue": venue, "--instrument": instrument, "--candles": candles or None}
        for option, value in given.items():
            if value is not None:
                raise UserError(f"{option} says what files hold: name the files, or leave it out")
        return
    if (venue is None) == (instrument is None):
        raise UserError("say what the files hold: one of --venue NAME for frames and --instrument NAME for trades")
    if candles and instrument is None:
        raise UserError("candles are of one instrument: say --instrument NAME with --candles")
    if history is not None:
        raise UserError("--history is of an invented market: the files' own past is what they hold")
    if seed is not None and not candles:
        raise UserError("--seed is for an invented market and for candles: what was recorded is fixed")


def _tell_reading(files: list[Path]) -> None:
    sys.stderr.write(f"reading {len(files)} file{'s' * (len(files) > 1)}\n")


def _files(files: list[Path], venue: str | None, instrument: str | None, candles: bool, seed: int) -> Tape:
    if venue is not None:
        known = venue_named(venue)
        _tell_reading(files)
        return from_recordings(files, known)
    one = Instrument.parse(instrument or "")
    _tell_reading(files)
    return CandleTape({one: read_bars(files)}, seed) if candles else from_trade_files(files, one)


def _invented(seed: int, at: int, hours: float) -> InventedTape:
    sys.stderr.write(f"inventing {hours:g} hours of a market\n")
    return InventedTape.open(seed, now=at, history_hours=hours)


def _clock(
    tape: Tape, settings: Settings, speed: float | None, begin: int | None, now: bool, waits: bool
) -> MarketClock:
    # The present of an invented market is now, not when its history began to be drawn.
    at = begin if begin is not None else tape.start if tape.end is not None else time.time_ns() // 1000
    if at < tape.start or (tape.end is not None and at >= tape.end):
        end = "" if tape.end is None else f" and ends at {_shown(tape.end)}"
        raise UserError(f"--start {_shown(at)} is not in the market: it begins at {_shown(tape.start)}{end} (UTC)")
    # Whole minutes, so that candles begin with a minute. A trade of the very beginning is still to come: it is sent.
    shift = (time.time_ns() // 1000 - at) // MINUTE * MINUTE if now else 0
    clock = MarketClock(1.0 if speed is None else speed, at - 1, shift)
    if waits:
        clock.pause()
        # It has been running since it was made.
        clock.seek(at - 1)
    return clock


def _serve(exchange: SimulatedExchange, listening: socket.socket, scenario: Scenario | None) -> None:
    host, port = listening.getsockname()[:2]
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(exchange, over), name="clock", daemon=True)

    def ready() -> None:
        if scenario is not None:
            when = "when a client has subscribed" if scenario.begins == "subscribed" else "now"
            sys.stdout.write(f"scenario   {scenario.name}: {scenario.description}; it begins {when}\n")
        sys.stdout.write(_addresses(exchange, f"{host}:{port}"))
        sys.stdout.flush()
        watch.start()

    try:
        serve(exchange, [listening], ready, scenario=scenario)
    finally:
        over.set()


def _watch(exchange: SimulatedExchange, over: threading.Event) -> None:
    """Let the clock go once somebody listens; say when the tape has ended."""
    clock, end = exchange.clock, exchange.tape.end
    if clock.paused:
        while clock.paused and not exchange.figures.listening and not over.wait(_LOOK_SECONDS):
            pass
        if over.wait(_SUBSCRIBING_SECONDS if clock.paused else 0):
            return
        if clock.paused:
            clock.resume()
            _say("a client has subscribed: the market goes on")
    while end is not None and not over.wait(1.0):
        if exchange.now() >= end:
            _say("the market is over; it goes on answering until Ctrl-C")
            return


def _addresses(exchange: SimulatedExchange, host: str) -> str:
    clock = exchange.clock
    lines = [f"The market stands at {_shown(clock.venue(clock.now()) + 1)} UTC, speed {clock.speed:g}."]
    if clock.paused:
        lines.append("Its clock waits for a client that subscribes (--no-wait does not).")
    spoken = _spoken(exchange, host)
    lines += ["", "For a feed in tidemill.toml, by venue; other clients, as ccxt, find these paths:"]
    for one in spoken:
        lines += [
            *_wrapped(", ".join(one.symbols), f"{one.venue:<15}", _INDENT),
            f'{_INDENT}websocket_url = "{one.websocket_url}"',
            f'{_INDENT}rest_url = "{one.rest_url}"',
            f"{_INDENT}other clients: {_PATHS[one.venue]}",
        ]
    controls = [f"http://{host}/tidemill/{name}" for name in ("state", "faults")]
    lines += [f"{'controls':<15}{controls[0]}", f"{_INDENT}{controls[1]}"]
    return "\n".join([*lines, "", "To record it, tidemill.toml:", *_feed(exchange, spoken, host), ""])


def _spoken(exchange: SimulatedExchange, host: str) -> list[Address]:
    both = (("binance", False), ("binance-usdm", True))
    binance = [(name, tuple(market.symbol for market in exchange.markets(futures))) for name, futures in both]
    ours = [Address(name, symbols, f"ws://{host}", f"http://{host}") for name, symbols in binance if symbols]
    return ours + addresses(exchange, host)


def _feed(exchange: SimulatedExchange, spoken: Sequence[Address], host: str) -> list[str]:
    instruments = exchange.tape.instruments
    first = instruments[0]
    own = next((one for one in spoken if has(venue_named(one.venue), first)), None)
    there = own or Address(first.venue, (), f"ws://{host}", f"http://{host}")
    same = [one for one in instruments if (one.venue, bool(one.expiry)) == (first.venue, bool(first.expiry))]
    if own:
        same = [one for one in instruments if has(venue_named(own.venue), one)]
    return [
        "  [[feeds]]",
        f'  name = "{there.venue}"',
        *_wrapped(", ".join(f'"{one.name}"' for one in same) + "]", "  instruments = [", "    "),
        f'  websocket_url = "{there.websocket_url}"',
        f'  rest_url = "{there.rest_url}"',
    ]


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return wrap(text, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)


def _moment(text: str) -> int:
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UserError(f"--start {text[:40]!r} is no time: write 2024-08-08 or 2024-08-08T12:00 (UTC)") from None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    micros = (aware - _EPOCH) // timedelta(microseconds=1)
    if micros < 0:
        raise UserError(f"--start {text[:40]!r} lies before 1970: write a later time")
    return micros


def _shown(micros: int) -> str:
    return (_EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

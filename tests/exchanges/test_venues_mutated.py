"""Whatever a frame has become on its way, parse gives sound messages or `MalformedFrame`: at every venue."""

import ast
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.timeframes import TIMEFRAMES
from exchanges import bounds
from exchanges.messages import Kline, MarkPrice, Message, Quote, Trade
from exchanges.registry import VENUES
from exchanges.venue import Venue

ROOT = Path(__file__).parents[2]
SAMPLE = Path(os.environ.get("TIDEMILL_SAMPLE", ROOT.parent / "shared" / "sample"))
RECEIVED = 1_767_200_040_000_000
FRAMES = 20_000
SOAKED_FRAMES = 1_000_000
LONGEST = 3000
CAPTURED = 60

MEMBER = re.compile(rb'"[^"\\]*":(?:"[^"\\]*"|-?[0-9][0-9.eE+-]*|true|false|null)')
VALUE = re.compile(rb'"[^"\\]*"(?!:)|-?[0-9][0-9.eE+-]*|\btrue\b|\bfalse\b|\bnull\b')
HOSTILE = (
    *(b"null", b"true", b"false", b"[]", b"{}", b"[[]]", b'[{"a":1}]', b'""', b'"0"', b'"x"', b'"-1"', b'"1e5"'),
    *(b"0", b"-0", b"-1", b"1", b"0.1", b"-0.0", b"1.0", b"1e5", b"1e-7", b"1e308", b"1e999", b"-1e-999"),
    *(b"1e99", b"1e999999999", b"1e99999999999999999999", b"9" * 40, b"9" * 5000, b"0." + b"0" * 400 + b"1"),
    *(b"98765432109876.12345678901234567895", b"0.30000000000000004", b'"98765432109876.12345678901234567895"'),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616"),
    *(b'"NaN"', b"NaN", b"Infinity", b"-Infinity", b'"Infinity"', b"0x10", b"1_000", b"+1", b"01", b".5", b"5."),
    *(b'"\\u0000"', b'"\\ud800"', b'"\xd9\xa3"', b'"\xff"', b'"1 "', b'"\\u0031"', b'"' + b"a" * 5000 + b'"'),
    *(b"1672515782136", b"1672515782136789", b'"1672515782136"', b"1672515782", b"4102444800000", b'"BTCUSDT"'),
)
BYTES = (
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\\",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\x7f",
)


def flip(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    changed = bytearray(frame)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.choice([rng.randrange(256), ord(rng.choice('0123456789"-.eE'))])
    return bytes(changed)


def recounted(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    spots = [found.start() for found in re.finditer(rb"[0-9]", frame)]
    if not spots:
        return frame
    at, digits = (
        rng.choice(spots),
        b"".join(rng.choices((b"0", b"1", b"9", b"5", b"."), k=rng.choice([0, 1, 1, 2, 20]))),
    )
    return frame[:at] + digits + frame[at + rng.randint(0, 1) :]


def cut(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    low, high = sorted((rng.randrange(len(frame) + 1), rng.randrange(len(frame) + 1)))
    return rng.choice([frame[:low], frame[low:], frame[:low] + frame[high:], frame[low:high]])


def swap(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    spots = sorted(rng.randrange(len(frame) + 1) for _ in range(4))
    a, b, c, d = spots
    return frame[:a] + frame[c:d] + frame[b:c] + frame[a:b] + frame[d:]


def splice(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    return frame[: rng.randrange(len(frame) + 1)] + other[rng.randrange(len(other) + 1) :]


def twice(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    member = _one_of(MEMBER, frame, rng)
    return frame if member is None else frame[: member.start()] + member[0] + b"," + frame[member.start() :]


def renamed(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    member, name = _one_of(MEMBER, frame, rng), _one_of(MEMBER, other, rng)
    if member is None or name is None:
        return frame
    return frame[: member.start()] + name[0].split(b":")[0] + frame[frame.index(b":", member.start()) :]


def inserted(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    member = _one_of(MEMBER, other, rng)
    spots = [found.end() for found in re.finditer(rb"\{", frame)]
    if member is None or not spots:
        return frame
    at, new = rng.choice(spots), member[0].split(b":")[0] + b":" + rng.choice(HOSTILE)
    return frame[:at] + rng.choice([member[0], new]) + b"," + frame[at:]


def retyped(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    value, theirs = _one_of(VALUE, frame, rng), _one_of(VALUE, other, rng)
    if value is None:
        return frame
    new = theirs[0] if theirs is not None and rng.random() < 0.3 else rng.choice(HOSTILE)
    return frame[: value.start()] + new + frame[value.end() :]


def nested(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    value, depth = _one_of(VALUE, frame, rng), rng.choice([2, 50, 500, 1100, 5000])
    if value is None:
        return frame
    opened, closed = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    inside = opened * depth + value[0] + closed * rng.choice([depth, depth, 0])
    return frame[: value.start()] + inside + frame[value.end() :]


def strewn(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(frame) + 1)
    return frame[:at] + rng.choice(BYTES) + frame[at:]


# Those that leave JSON behind most of the time would hide what the others find: they come half as often.
MUTATIONS: tuple[Callable[[bytes, bytes, random.Random], bytes], ...] = (
    *(retyped, retyped, retyped, renamed, renamed, inserted, inserted, twice),
    *(recounted, recounted, flip, cut, swap, splice, strewn, nested),
)


def _one_of(pattern: re.Pattern[bytes], frame: bytes, rng: random.Random) -> re.Match[bytes] | None:
    found = list(pattern.finditer(frame))
    return rng.choice(found) if found else None


def captured(exchange: str) -> list[bytes]:
    """Some frames of each recording of the exchange, spread over it; none where there is no recording."""
    frames: list[bytes] = []
    for file in sorted((SAMPLE / "ws").glob(f"{exchange.upper()}*")):
        lines = [line.partition(b": ")[2] for line in file.read_bytes().splitlines()[1:]]
        usable = [line for line in lines if line and len(line) <= LONGEST]
        frames += usable[:: max(1, len(usable) // CAPTURED)]
    # Upbit's binary frames were recorded as Python literals.
    return [ast.literal_eval(frame.decode()) if frame.startswith(b"b'") else frame for frame in frames]


def fixtures(venue: Venue) -> tuple[list[bytes], list[bytes]]:
    """The frames of the venue's own fixtures, and those of all others."""
    own, others = [], []
    for file in sorted((ROOT / "tests/fixtures").glob("*.jsonl")):
        mine = file.stem in (venue.name, venue.exchange)
        (own if mine else others).extend(line for line in file.read_bytes().splitlines() if line)
    return own, others


def mutants(venue: Venue, count: int, seed: str) -> Iterator[bytes]:
    rng = random.Random(f"{seed} {venue.name}")
    own, others = fixtures(venue)
    own = own or others
    # Recordings are of old protocols, and refused for that: frames that are read become the better mutants.
    sources = [source for source in (own, own, own, captured(venue.exchange), others) if source]
    for _ in range(count):
        frame = rng.choice(rng.choice(sources))
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            # What has grown long already tells nothing new.
            if 0 < len(frame) < 4 * LONGEST:
                frame = rng.choice(MUTATIONS)(frame, rng.choice(own), rng)
        yield frame


def check_sound(message: Message) -> None:
    """Hold a message to the bounds that the rest of the system relies on."""
    if not isinstance(message, Trade | Quote | Kline | MarkPrice):
        assert isinstance(message, get_args(Message))
        return
    assert Instrument.parse(message.instrument).name == message.instrument
    assert all(isinstance(time, int) for time in (message.sent, getattr(message, "time", 0)))
    if isinstance(message, Trade):
        # Less than 0 where it is made of a text.
        bounds.identifier(-message.id if message.id < 0 and message.id_space == "execution" else message.id)
        bounds.trade_value(message.price, message.size)
        assert bounds.EARLIEST <= message.time < bounds.LATEST
        assert message.side in ("buy", "sell")
        assert 1 <= message.fills <= bounds.MAX_FILLS
    elif isinstance(message, Quote):
        assert 0 <= message.id <= bounds.MAX_ID
        for price, size in ((message.bid, message.bid_size), (message.ask, message.ask_size)):
            bounds.price(price, zero=True)
            bounds.size(size, zero=True)
    elif isinstance(message, Kline):
        assert TIMEFRAMES[message.timeframe].floor(message.start) == message.start
        for price in (message.open, message.high, message.low, message.close):
            bounds.price(price)
        for total in (message.volume, message.quote_volume, message.taker_buy_volume):
            assert total is None or bounds.total(total)
        assert message.trade_count is None or 0 <= message.trade_count <= bounds.MAX_ID
    else:
        assert message.mark is None or bounds.price(message.mark)
        assert message.index is None or bounds.price(message.index)
        assert message.funding_rate is None or abs(float(message.funding_rate)) < 10


def read_all(venue: Venue, count: int, seed: str) -> tuple[int, int]:
    """Parse mutants; gives how many were read and how many refused."""
    read = refused = 0
    for frame in mutants(venue, count, seed):
        try:
            messages = venue.parse(frame, RECEIVED)
        except MalformedFrame as error:
            refused += 1
            assert len(str(error)) < 500, frame[:2000]  # noqa: PT017 - either way is right, a long text is not
            continue
        except BaseException as error:
            error.add_note(f"{venue.name}: {frame[:2000]!r}")
            raise
        read += 1
        for message in messages:
            try:
                check_sound(message)
            except (AssertionError, MalformedFrame, ValueError) as error:
                error.add_note(f"{venue.name}: {message} of {frame[:2000]!r}")
                raise
    return read, refused


@pytest.mark.parametrize("name", sorted(VENUES))
def test_mutated_frames_are_read_soundly_or_refused(name: str) -> None:
    count = FRAMES // len(VENUES)
    read, refused = read_all(VENUES[name], count, "7")
    assert read + refused == count
    # Mutants that are all refused at once, or all read, would show nothing.
    assert min(read, refused) > count // 50, (read, refused)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(VENUES))
def test_soak_a_million_mutated_frames(name: str) -> None:
    count = SOAKED_FRAMES // len(VENUES) + 1
    read, refused = read_all(VENUES[name], count, os.environ.get("TIDEMILL_SEED", "7"))
    assert read + refused == count
    assert min(read, refused) > count // 50

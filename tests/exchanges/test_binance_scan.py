import os
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from exchanges import bounds
from exchanges.registry import venue

SPOT, USDM = venue("binance"), venue("binance-usdm")
Check = Callable[..., set[int]]

wholes = st.one_of(
    st.sampled_from([0, 1, 10**15, 10**17, 10**18 - 1, 10**18, 2**63 - 1, 2**63, 10**30]),
    st.integers(0, 10**19),
)
times = st.one_of(
    st.sampled_from([0, 1, 2**63]),
    st.sampled_from([bounds.EARLIEST, bounds.LATEST]).flatmap(
        lambda edge: st.sampled_from([edge // 1000 - 1, edge // 1000, edge - 1, edge])
    ),
    st.integers(1_500_000_000_000, 1_900_000_000_000),
    st.integers(1_500_000_000_000_000, 1_900_000_000_000_000),
)
digits = st.text("0123456789", min_size=0, max_size=20)
decimals = st.one_of(
    st.builds(lambda a, b: f"{a}.{b}", digits, digits),
    digits,
    st.builds(lambda a, z, b: f"{a}.{'0' * z}{b}", st.integers(0, 9), st.integers(0, 20), st.integers(0, 10**6)),
    st.decimals(0, 10**13, places=8, allow_nan=False).map(str),
    st.sampled_from(
        (
            *("999999999999999", "1000000000000", "999999999999.999", "9999999999999.99", "10000000000000"),
            *("1e5", "0", "0.0", "nan", "-1", "+1", ".", "1.", ".1", "0.30000000000000004"),
            *("0.000000000000000001", "0.0000000000000000001", "0.1000000000000000000"),
        )
    ),
)
symbols = st.sampled_from(["BTCUSDT", "ETHBTC", "BTCUSDT_260327", "NOSUCHPAIR", "BT", "A" * 31 + "USDT", "btcusdt"])
tails = st.sampled_from(
    (
        *("", ',"M":true', ',"M":false,"nq":"1.5"', ',"st":1', ',"M":true,"nq":"2","st":2'),
        *(',"st":1,"M":true', ',"x":{}', ',"M":true,"M":true', ',"m":true'),
    )
)
flags = st.sampled_from(["true", "false", "1"])


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    e, t, s, p, q = draw(times), draw(times), draw(symbols), draw(decimals), draw(decimals)
    i, f, m, tail = draw(wholes), draw(wholes), draw(flags), draw(tails)
    last = draw(st.one_of(wholes, st.integers(-1, 5).map(lambda more: f + more), st.just(f + 2**31 - 1)))
    end = f'"p":"{p}","q":"{q}","f":{f},"l":{last},"T":{t},"m":{m}{tail}}}'
    kind, data = draw(
        st.sampled_from(
            [
                ("trade", f'{{"e":"trade","E":{e},"s":"{s}","t":{i},"p":"{p}","q":"{q}","T":{t},"m":{m}{tail}}}'),
                ("aggTrade", f'{{"e":"aggTrade","E":{e},"s":"{s}","a":{i},{end}'),
                ("aggTrade", f'{{"e":"aggTrade","E":{e},"a":{i},"s":"{s}",{end}'),
                ("bookTicker", f'{{"u":{i},"s":"{s}","b":"{p}","B":"{q}","a":"{p}","A":"{q}"}}'),
                (
                    "bookTicker",
                    f'{{"e":"bookTicker","u":{i},"s":"{s}","b":"{p}","B":"{q}","a":"{p}","A":"{q}",'
                    f'"T":{t},"E":{e}{tail}}}',
                ),
            ]
        )
    )
    if draw(st.booleans()):
        kind, other = draw(st.sampled_from([(kind, s), (kind, s), ("trade", s), (kind, "ethbtc"), ("foo", s)]))
        return f'{{"stream":"{other.lower()}@{kind}","data":{data}}}'.encode()
    return data.encode()


@given(st.lists(frames(), max_size=20), st.sampled_from([SPOT, USDM]))
@settings(max_examples=100, deadline=None)
def test_fast_path_equals_parse_at_every_bound(assert_paths_agree: Check, drawn: list[bytes], market) -> None:
    assert_paths_agree(market, drawn)


prices = st.integers(1, 10**9 - 1).flatmap(lambda m: st.integers(0, 8).map(lambda k: f"{m / 10**k:.8f}"))


@given(
    prices,
    prices,
    st.integers(1, 10**18 - 1),
    st.integers(bounds.EARLIEST // 1000, bounds.LATEST // 1000 - 1),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_ordinary_trades_take_the_fast_path(
    assert_paths_agree: Check, price: str, size: str, number: int, time: int, maker: bool
) -> None:
    m = str(maker).lower()
    deal = f'"p":"{price}","q":"{size}"'
    trade = f'{{"e":"trade","E":{time},"s":"BTCUSDT","t":{number},{deal},"T":{time},"m":{m},"M":true}}'
    aggregate = (
        f'{{"e":"aggTrade","E":{time},"s":"BTCUSDT","a":{number},{deal},'
        f'"f":{number},"l":{number},"T":{time},"m":{m},"M":true}}'
    )
    drawn = [
        trade,
        f'{{"stream":"btcusdt@trade","data":{trade}}}',
        aggregate,
        f'{{"stream":"btcusdt@aggTrade","data":{aggregate}}}',
    ]
    try:
        SPOT.parse(trade.encode(), 0)
    except MalformedFrame:
        return  # more digits than allowed
    if float(price) * float(size) < 9e13:
        assert assert_paths_agree(SPOT, [frame.encode() for frame in drawn]) == {0, 1, 2, 3}


def test_fixture_takes_the_fast_path_where_it_is_frequent(
    assert_paths_agree: Check, fixture_frames: list[bytes]
) -> None:
    taken = assert_paths_agree(SPOT, fixture_frames)
    assert taken == assert_paths_agree(USDM, fixture_frames)
    assert taken == {
        at
        for at, frame in enumerate(fixture_frames)
        if any(event in frame for event in (b'"trade"', b'"aggTrade"', b'"u":')) and b"result" not in frame
    }


def mutate(rng: random.Random, frame: bytes) -> bytes:
    changed = bytearray(frame)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(changed)) if changed else 0
        match rng.randrange(8):
            case 0 if changed:
                changed[at] = rng.randrange(256)
            case 1:
                changed.insert(at, rng.choice(b'0129.,:"{}[]\n \\eEtTsSaAbBmMuUpq-+\xff'))
            case 2 if changed:
                del changed[at]
            case 3:
                places = [k for k, byte in enumerate(changed) if 48 <= byte <= 57]
                if places:
                    changed[rng.choice(places)] = rng.randrange(48, 58)
            case 4:
                del changed[at:]
            case 5:
                low = rng.randrange(len(changed) + 1)
                changed[at:at] = changed[low : low + rng.randrange(1, 12)]
            case 6:
                places = [k for k, byte in enumerate(changed) if 48 <= byte <= 57]
                if places:
                    k = rng.choice(places)
                    changed[k:k] = bytes(rng.choices(b"0123456789", k=rng.randrange(1, 12)))
            case 7:
                places = [k for k, byte in enumerate(changed) if 65 <= byte <= 90 or 97 <= byte <= 122]
                if places:
                    changed[rng.choice(places)] ^= 32
    return bytes(changed)


def fuzz(check: Check, frames: list[bytes], rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    taken = 0
    for _ in range(rounds):
        chosen = [mutate(rng, rng.choice(frames)) for _ in range(1000)]
        taken += len(check(rng.choice((SPOT, USDM)), chosen))
    # Digit changes alone keep many frames valid: were none taken, this would show nothing.
    assert rounds * 50 < taken < rounds * 950


@pytest.mark.parametrize("seed", range(4))
def test_mutated_frames_never_fool_the_fast_path(
    assert_paths_agree: Check, fixture_frames: list[bytes], seed: int
) -> None:
    fuzz(assert_paths_agree, fixture_frames, 5, seed)


@pytest.mark.sample
def test_mutated_captured_frames_never_fool_the_fast_path(
    assert_paths_agree: Check, spot_capture: list[bytes], short_capture: Callable[[str], list[bytes]]
) -> None:
    frames = spot_capture[:500] + short_capture("BINANCE.ws.1.0") + short_capture("BINANCE_FUTURES.ws.1.0")
    fuzz(assert_paths_agree, [frame for frame in frames if len(frame) < 500], 10, 99)


@pytest.mark.soak
def test_a_million_mutated_frames_never_fool_the_fast_path(
    assert_paths_agree: Check, fixture_frames: list[bytes]
) -> None:
    fuzz(assert_paths_agree, fixture_frames, 1000, int(os.environ.get("TIDEMILL_SEED", "7")))


@pytest.mark.parametrize(
    "drawn",
    [
        '{"e":"trade","E":1672515782136,"s":"BNBBTC","t":1,"p":"0.0000000001",'
        '"q":"0.0000000001","T":1672515782136,"m":true}',
        '{"stream":"bt@depth","data":{"e":"depthUpdate","E":1,"s":"BT","U":1,"u":1,"b":[],"a":[]}}',
        '{"stream":"bnbbtc@depth@","data":{"e":"depthUpdate","E":1,"s":"BNBBTC","U":1,"u":1,"b":[],"a":[]}}',
        '{"stream":"bnbbtc@trade@","data":{"u":1,"s":"BNBBTC","b":"1","B":"1","a":"1","A":"1"}}',
        '{"u":1,"s":"BNBBTC","b":"1","B":"1","a":"1","A":"1"}}',
        '{"u":1,"s":"BNBBTC","b":"1","B":"1","a":"1","A":"1"} ',
    ],
    ids=range(6),
)
def test_what_is_not_certain_is_left_to_parse(assert_paths_agree: Check, drawn: str) -> None:
    assert assert_paths_agree(SPOT, [drawn.encode()]) == set()


def test_frames_outside_of_the_payload_are_left_alone() -> None:
    payload = b'{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"1","A":"1"}\n'
    n = len(payload) - 1
    starts = np.array([0, 0, -1, -(2**63), 2**63 - 1, 0, 0, n, n + 1], np.int64)
    sizes = np.array([n, n + 1, 3, 5, 2**63 - 1, -1, 2**63 - 1, 0, 0], np.int64)
    columns = SPOT.trades(payload, starts, sizes)
    assert len(columns.quotes) == 1
    assert columns.rest.tolist() == list(range(1, 9))


def test_an_empty_block_has_no_trades() -> None:
    columns = SPOT.trades(b"", np.empty(0, np.int64), np.empty(0, np.int64))
    assert len(columns) == len(columns.rest) == columns.ignored == 0
    assert columns.quotes is None


def test_starts_and_sizes_must_be_of_one_length() -> None:
    with pytest.raises(ValueError, match="one length"):
        SPOT.trades(b"", np.zeros(1, np.int64), np.empty(0, np.int64))


def test_many_symbols_keep_their_names(assert_paths_agree: Check) -> None:
    names = [f"A{k}USDT" for k in range(700)]
    trade = '{"e":"trade","E":1672515782136,"s":"%s","t":%d,"p":"1","q":"1","T":1672515782136,"m":true}'
    drawn = [(trade % (name, k + 1)).encode() for k, name in enumerate(names * 2)]
    assert len(assert_paths_agree(SPOT, drawn)) == 1400

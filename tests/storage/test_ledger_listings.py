"""What exchanges say of their instruments over time."""

from dataclasses import replace
from decimal import Decimal
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.instruments import Instrument
from core.records import Listing
from storage.ledger.ledger import Ledger

T = 1_767_225_600_000_000
FRESH = (Instrument.parse(f"okx:X{n}-USDT-PERP") for n in count())


@pytest.fixture(scope="module")
def address(fresh_lake):
    return fresh_lake()


@pytest.fixture(scope="module")
def ledger(address):
    with Ledger(address) as ledger:
        yield ledger


def changes(address, name):
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        query = "SELECT multiplier FROM instrument_changes WHERE instrument = %s ORDER BY since"
        return [row[0] for row in connection.execute(query, [name]).fetchall()]


def stored(address, name):
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        query = "SELECT native, tick, lot, multiplier, size_unit, id_space FROM instruments WHERE name = %s"
        return connection.execute(query, [name]).fetchone()


def test_an_instrument_is_as_it_was_told_last_and_keeps_what_was_known(ledger, address):
    one = next(FRESH)
    ledger.see_instruments([one], {one.name: "trade"})
    told = replace(one, native="X-USDT-SWAP", tick=Decimal("0.1"), multiplier=Decimal("0.01"), size_unit="contracts")
    ledger.list_instruments([(told, T), (replace(told, multiplier=Decimal("0.1"), lot=Decimal(1)), T + 5)])
    assert stored(address, one.name) == ("X-USDT-SWAP", Decimal("0.1"), 1, Decimal("0.1"), "contracts", "trade")
    assert changes(address, one.name) == [Decimal("0.01"), Decimal("0.1")]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 3), min_size=1, max_size=8), st.data())
def test_each_change_is_kept_once_however_often_it_is_told(ledger, address, sizes, data):
    one = next(FRESH)
    told = [(replace(one, multiplier=Decimal(size)), T + at) for at, size in enumerate(sizes)]
    cut = data.draw(st.integers(0, len(told)))
    for part in (told[:cut], told[cut:], told[data.draw(st.integers(0, len(told) - 1)) :]):
        ledger.list_instruments(part)
    assert changes(address, one.name) == [size for at, size in enumerate(sizes) if at == 0 or sizes[at - 1] != size]
    assert stored(address, one.name)[3] == sizes[-1]


@given(
    st.decimals(min_value=0, max_value=100, places=8),
    st.one_of(st.none(), st.decimals(min_value=0, max_value=100, places=8)),
    st.sampled_from(["base", "quote", "contracts"]),
)
def test_a_listing_says_what_the_instrument_is(multiplier, tick, unit):
    one = Instrument("okx", "BTC", "USDT", "PERP", "BTC-USDT-SWAP", tick, None, multiplier, unit)
    assert Listing.of(one).read() == one

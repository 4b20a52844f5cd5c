"""The view `completeness`: shares of time, whatever the ids are."""

from datetime import UTC, date, datetime

import pytest

from core.gaps import Coverage, Gap
from core.timeframes import DAY, HOUR
from storage import lake
from storage.catalog import open_catalog
from storage.ledger.ledger import Ledger

T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z
BINANCE, BYBIT, LATER = "binance:BTC-USDT", "bybit:BTC-USDT", "binance:ETH-USDT"


@pytest.fixture(scope="module")
def shares(fresh_lake, tmp_path_factory):
    address, path = fresh_lake(), str(tmp_path_factory.mktemp("completeness"))
    lake.connect(address, path, read_only=False).close()
    with Ledger(address) as ledger:
        ledger.record(
            gaps=[
                # An hour of the first day was fetched later, six of the second are lost, three are not fetched yet.
                Gap(BINANCE, "trade", 11, 19, T + 10 * HOUR, T + 11 * HOUR, 0, "restart"),
                Gap(BINANCE, "trade", 31, 39, T + DAY, T + DAY + 6 * HOUR, 9, "silence", unfillable=True),
                Gap(BINANCE, "trade", 51, 59, T + DAY + 9 * HOUR, T + DAY + 12 * HOUR, 9),
            ],
            coverage=[
                Coverage(BINANCE, "trade", 1, 30, T, T + DAY),
                Coverage(BINANCE, "trade", 40, 50, T + DAY + 6 * HOUR, T + DAY + 9 * HOUR),
                Coverage(BINANCE, "trade", 60, 90, T + DAY + 12 * HOUR, T + DAY + 24 * HOUR),
                Coverage(BYBIT, "execution", T + HOUR, T + 4 * HOUR, T + HOUR, T + 4 * HOUR),
            ],
        )
        # Two gaps of an hour that were given up: later all of the one is there, and half of the other.
        half = T + 3 * HOUR + HOUR // 2
        for missing in ((9, 10), (0, 5)):
            ledger.record(
                gaps=[
                    Gap(LATER, "trade", 11, 19, T + HOUR, T + 2 * HOUR, missing[0], unfillable=True),
                    Gap(LATER, "trade", 31, 40, T + 3 * HOUR, T + 4 * HOUR, missing[1], unfillable=True),
                ]
            )
        ledger.record(
            coverage=[
                Coverage(LATER, "trade", 1, 35, T, half),
                Coverage(LATER, "trade", 41, 50, T + 4 * HOUR, T + 5 * HOUR),
            ]
        )
    with open_catalog(address, path) as catalog:
        rows = catalog.execute("SELECT * FROM completeness ").fetchall()
    return {(name, day): rest for name, _, day, *rest in rows}


def test_a_day_is_proven_at_once_or_repaired(shares):
    first, last, proven, repaired, missing, *gaps = shares[BINANCE, date(2024, 8, 9)]
    assert (first, last) == (datetime(2024, 8, 9, tzinfo=UTC), datetime(2024, 8, 10, tzinfo=UTC))
    assert (proven, repaired, missing) == pytest.approx((23 / 24, 1 / 24, 0))
    assert gaps == [1, 0, 0]


def test_what_is_missing_is_told_by_its_time(shares):
    _, _, proven, repaired, missing, *gaps = shares[BINANCE, date(2024, 8, 10)]
    assert (proven, repaired, missing) == pytest.approx((15 / 24, 0, 9 / 24))
    assert gaps == [0, 1, 1]


def test_what_was_given_up_and_came_all_the_same_is_repaired(shares):
    *_, proven, repaired, missing, of_repaired, of_open, of_unfillable = shares[LATER, date(2024, 8, 9)]
    assert (proven, repaired, missing) == pytest.approx((3 / 5, 3 / 10, 1 / 10))
    assert (of_repaired, of_open, of_unfillable) == (1, 0, 1)


def test_only_the_recorded_part_of_a_day_counts(shares):
    first, last, proven, repaired, missing, *_ = shares[BYBIT, date(2024, 8, 9)]
    assert (last - first).total_seconds() == 3 * 3600
    assert (proven, repaired, missing) == (1, 0, 0)


def test_shares_of_a_day_are_all_of_it(shares):
    assert all(sum(row[2:5]) == pytest.approx(1) for row in shares.values())

"""What takes several requests: each is counted, each asks whether anything may be sent, and one is a trial."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ccxt_stand_in import StandIn

from core.instruments import Instrument
from exchanges import breaker as circuit
from exchanges.budgets import Budgets
from exchanges.clients import rest_of
from exchanges.registry import venue
from exchanges.rest import Throttled

BITCOIN = Instrument.parse("binanceus:BTC-USDT")
START = 1_700_000_000_000


class Counting(Budgets):
    """Budgets that tell what they have let through, with a clock that tests set."""

    def __init__(self, folder=None):
        self.now, self.admitted = START * 1000, 0
        super().__init__(folder, wall=lambda: self.now, passing=lambda: self.now)

    def admit(self, host, wish):
        admission = super().admit(host, wish)
        self.admitted += wish.amount * (admission.wait == 0)
        return admission


class Heeded(StandIn):
    """A stand-in that tells ``listener`` of what it is asked for, before it answers."""

    listener = staticmethod(lambda what, query: None)

    def _told(self, what, query):
        self.listener(what, query)
        return super()._told(what, query)


def chained(test, folder=None):
    async def run():
        stand_in, budgets = Heeded(), Counting(folder)
        stand_in.trades["BTCUSDT"] = [(at, START + 10 * at) for at in range(1, 3_001)]
        async with stand_in.served():
            market = venue("ccxt-binanceus", *stand_in.addresses)
            rest = rest_of(market, budgets=budgets)
            try:
                await rest.listed()
                await rest.get(market.trades_request(BITCOIN, "trade"))
                stand_in.asked.clear()
                budgets.admitted = 0
                await test(stand_in, budgets, rest, market)
            finally:
                await rest.close()

    asyncio.run(run())


def older(market, number=2_900):
    return market.older_trades_request(BITCOIN, "trade", (number, (START + 10 * number) * 1000))


def test_every_page_is_taken_from_the_budget():
    async def test(stand_in, budgets, rest, market):
        page = market.read_trades(BITCOIN, "trade", await rest.get(older(market)), 1)
        assert page.ids.tolist() == list(range(1, 2_900))
        assert len(stand_in.asked) >= 6
        assert budgets.admitted == len(stand_in.asked)

    chained(test)


def test_a_ban_that_another_process_meets_ends_a_chain(tmp_path):
    async def test(stand_in, budgets, rest, market):
        def listener(what, query):
            if len(stand_in.asked) == 3:
                other = Budgets(tmp_path, wall=lambda: budgets.now, passing=lambda: budgets.now)
                other.banned(rest.host, 418, 90.0, "it answered 418", trial=False)
                other.close()

        stand_in.listener = listener
        with pytest.raises(Throttled) as caught:
            await rest.get(older(market))
        assert (caught.value.status, caught.value.retry_after) == (418, 90)
        assert len(stand_in.asked) == 3

    chained(test, tmp_path)


async def banned(stand_in, budgets, rest, market):
    """Let the venue ban us, and the ban be over: who asks next is on trial."""
    stand_in.rest_status = 418
    with pytest.raises(Throttled):
        await rest.get(market.time_request())
    budgets.now = budgets.breakers()[0].until
    assert budgets.breakers()[0].state == "half_open"
    stand_in.asked.clear()


@pytest.mark.parametrize("what", ["older_trades", "markets"])
def test_a_trial_is_one_request_of_a_chain(what):
    async def test(stand_in, budgets, rest, market):
        await banned(stand_in, budgets, rest, market)
        stand_in.rest_status = 200
        states = []

        def listener(asked, query):
            states.append((asked, budgets.breakers()[0].state))

        stand_in.listener = listener
        request = older(market) if what == "older_trades" else market.instruments_request()
        await rest.get(request)
        first = "aggTrades" if what == "older_trades" else "time"
        assert states[0] == (first, "half_open")
        assert len(states) >= 2
        assert {state for _, state in states[1:]} == {"closed"}

    chained(test)


def test_a_trial_that_fails_is_not_followed_by_the_rest_of_its_chain():
    async def test(stand_in, budgets, rest, market):
        await banned(stand_in, budgets, rest, market)
        for request in (market.instruments_request(), older(market)):
            with pytest.raises(Throttled):
                await rest.get(request)
            assert len(stand_in.asked) == 1
        assert budgets.breakers()[0].state == "open"

    chained(test)


def test_no_request_of_a_chain_may_take_as_long_as_a_trial():
    async def test(stand_in, budgets, rest, market):
        assert rest._timeout * 1_000_000 < circuit.TRIAL

    chained(test)

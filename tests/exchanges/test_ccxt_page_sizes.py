"""How many trades an exchange gives at once is found out, and no market that it refuses changes that for others."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ccxt_stand_in import StandIn

from core.instruments import Instrument
from exchanges import history
from exchanges.budgets import Budgets
from exchanges.clients import rest_of
from exchanges.refusal import VenueRefusal
from exchanges.registry import venue

BITCOIN, ETHER = (Instrument.parse(f"binanceus:{base}-USDT") for base in ("BTC", "ETH"))
UNKNOWN = {"code": -1121, "msg": "Invalid symbol."}
ODD = {"code": -1102, "msg": "A mandatory parameter was not sent."}


class Refusing(StandIn):
    """A stand-in that answers for a symbol what it is told to, and notes the sizes that it is asked for."""

    def __init__(self):
        super().__init__()
        self.answers, self.sizes = {}, {symbol: [] for symbol in self.symbols}

    def _told(self, what, query):
        symbol = query.get("symbol")
        if symbol:
            self.sizes[symbol].append(int(query.get("limit", 0)))
        return self.answers.get(symbol) or super()._told(what, query)


def sized(test):
    async def run():
        stand_in = Refusing()
        for symbol in stand_in.symbols:
            stand_in.trades[symbol] = [(at, 1_700_000_000_000 + at) for at in range(1, 701)]
        async with stand_in.served():
            market = venue("ccxt-binanceus", *stand_in.addresses)
            rest = rest_of(market, budgets=Budgets())

            async def newest(one):
                return await history.latest(rest, market, one, "execution")

            try:
                await test(stand_in, newest)
            finally:
                await rest.close()

    asyncio.run(run())


@pytest.mark.parametrize(("answer", "tried"), [(UNKNOWN, [1_000]), (ODD, [1_000, 500, 100, 0])])
def test_a_market_that_is_refused_makes_no_page_smaller(answer, tried):
    async def test(stand_in, newest):
        stand_in.answers["ETHUSDT"] = answer
        with pytest.raises(VenueRefusal):
            await newest(ETHER)
        assert stand_in.sizes["ETHUSDT"] == tried
        assert len(await newest(BITCOIN)) == 500
        assert stand_in.sizes["BTCUSDT"] == [1_000, 500]
        with pytest.raises(VenueRefusal):
            await newest(ETHER)
        stand_in.sizes["BTCUSDT"].clear()
        assert len(await newest(BITCOIN)) == 500
        assert stand_in.sizes["BTCUSDT"] == [500]

    sized(test)


def test_what_two_learn_at_once_is_the_smaller_of_it():
    async def test(stand_in, newest):
        pages = await asyncio.gather(newest(BITCOIN), newest(ETHER), newest(BITCOIN))
        assert [len(page) for page in pages] == [500] * 3
        for symbol in stand_in.symbols:
            stand_in.sizes[symbol].clear()
        await newest(ETHER)
        assert stand_in.sizes["ETHUSDT"] == [500]

    sized(test)

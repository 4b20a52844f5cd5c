"""Bans that ccxt makes other errors of: the breaker holds for them as it does for our own venues."""

import asyncio
import json

import pytest

from core.errors import TransientError
from core.instruments import Instrument
from exchanges import history
from exchanges.budgets import Budgets
from exchanges.clients import rest_of
from exchanges.refusal import VenueRefusal
from exchanges.registry import venue
from exchanges.rest import Throttled

PAGE = b"<html>too frequent</html>"


def http(status, body=PAGE, *headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def asking(raw_server, exchange_id, answer, test):
    """Run a test against a server of which ``answer`` gives a response for a path; it waits for it."""

    async def run():
        asked = []

        async def handler(head, reader, writer):
            asked.append(head.split()[1].decode())
            writer.write(await answer(asked[-1]))

        async with raw_server(handler) as port:
            market = venue(f"ccxt-{exchange_id}", rest_url=f"http://127.0.0.1:{port}")
            rest = rest_of(market, budgets=Budgets())
            try:
                async with asyncio.timeout(60):
                    await test(rest, market, asked)
            finally:
                await rest.close()

    asyncio.run(run())


def always(response):
    async def answer(path):
        return response

    return answer


@pytest.mark.parametrize("exchange_id", ["kraken", "gate", "coinbase", "binanceus", "okx", "bybit"])
@pytest.mark.parametrize("status", [403, 418, 429])
def test_a_ban_is_kept_with_its_status_and_its_time(raw_server, exchange_id, status):
    async def test(rest, market, asked):
        for _ in range(3):
            with pytest.raises(Throttled, match=f"answered {status} and wants no requests for") as caught:
                await rest.get(market.instruments_request())
            assert caught.value.status == status
            assert 590 < caught.value.retry_after <= 600
        (breaker,) = rest._budgets.breakers()
        assert (breaker.state, breaker.why) == ("open", f"it answered {status}")
        # What ccxt asks for at once counts as one.
        assert len(asked) <= 5
        before = len(asked)
        with pytest.raises(Throttled):
            await rest.get(market.time_request())
        assert len(asked) == before

    asking(raw_server, exchange_id, always(http(status, PAGE, "Retry-After: 600")), test)


def test_what_a_venue_forbids_in_its_own_words_is_no_ban(raw_server):
    async def test(rest, market, asked):
        for _ in range(2):
            with pytest.raises(VenueRefusal):
                await history.time(rest, market)
        assert len(asked) == 2

    words = json.dumps({"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}).encode()
    asking(raw_server, "binanceus", always(http(403, words)), test)


def test_requests_that_overlap_do_not_take_each_others_status(raw_server):
    gate = asyncio.Event()

    async def answer(path):
        if path.endswith("/time"):
            await gate.wait()
            return http(500, b"{}")
        return http(403, PAGE, "Retry-After: 77")

    async def test(rest, market, asked):
        slow = asyncio.create_task(history.time(rest, market))
        while not asked:
            await asyncio.sleep(0.01)
        with pytest.raises(Throttled) as caught:
            await rest.get(market.instruments_request())
        gate.set()
        with pytest.raises(TransientError) as other:
            await slow
        assert not isinstance(other.value, Throttled)
        assert (caught.value.status, round(caught.value.retry_after)) == (403, 77)

    asking(raw_server, "binanceus", answer, test)


@pytest.mark.parametrize(("status", "kind"), [(404, None), (403, None), (418, Throttled), (503, TransientError)])
def test_the_date_of_a_refusal_tells_the_time_unless_nothing_is_wanted(raw_server, status, kind):
    async def test(rest, market, asked):
        assert market.time_request().header == "date"
        if kind is None:
            assert await history.time(rest, market) == 1_700_000_000_000_000
            return
        with pytest.raises(kind):
            await history.time(rest, market)

    date = "Date: Tue, 14 Nov 2023 22:13:20 GMT"
    asking(raw_server, "bitstamp", always(http(status, PAGE, date)), test)


def test_a_venue_that_bans_while_trades_are_asked_for(raw_server):
    async def answer(path):
        if "exchangeInfo" in path:
            filters = [{"filterType": "PRICE_FILTER", "tickSize": "0.01", "minPrice": "0.01", "maxPrice": "9"}]
            listed = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT"}
            told = {"symbols": [{**listed, "isSpotTradingAllowed": True, "filters": filters}]}
            return http(200, json.dumps(told).encode())
        return http(403)

    async def test(rest, market, asked):
        one = Instrument.parse("binanceus:BTC-USDT")
        for _ in range(2):
            with pytest.raises(Throttled) as caught:
                await history.latest(rest, market, one, "execution")
            assert caught.value.status == 403
        assert len([path for path in asked if "rades" in path]) == 1

    asking(raw_server, "binanceus", answer, test)

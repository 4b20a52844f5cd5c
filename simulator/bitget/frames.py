"""What Bitget v2 tells of trades, tickers and candles, as JSON text; times are venue time in µs.

The mark price and the index are the last price: the tape knows no better.
Source: bitget.com/api-doc, spot and contract, "Websocket, Public", "Market"; exchanges.md, section 6.
"""

from collections.abc import Sequence

from core.candles import Candle
from core.timeframes import HOUR
from core.trades import TradeBatch
from simulator.plain_numbers import plain
from simulator.scattered_ids import ScatteredIds
from simulator.topic import FUNDING_RATE, Quote
from simulator.venue_market import VenueMarket

IDS = ScatteredIds(10**18, 2**20)
"""Trade ids of 19 digits."""

_FUNDED_EVERY = 8 * HOUR


def push(action: str, arg: str, rows: Sequence[str], sent: int) -> str:
    """Give a message of a channel; ``arg`` is the channel's own JSON text."""
    return f'{{"action":"{action}","arg":{arg},"data":[{",".join(rows)}],"ts":{sent // 1000}}}'


def trades(batch: TradeBatch) -> list[str]:
    """Give each trade as the channel ``trade`` tells it, in the order of the rows."""
    columns = (batch.ts // 1000, batch.price, batch.size, batch.side, IDS.shown(batch.ids))
    return [
        f'{{"ts":"{ts}","price":"{plain(price)}","size":"{plain(size)}",'
        f'"side":"{"buy" if side > 0 else "sell"}","tradeId":"{number}"}}'
        for ts, price, size, side, number in zip(*(column.tolist() for column in columns), strict=True)
    ]


def fills(symbol: str, batch: TradeBatch) -> list[str]:
    """Give each trade as ``fills`` and ``fills-history`` tell it: the same ids, but the side capitalised."""
    columns = (batch.ts // 1000, batch.price, batch.size, batch.side, IDS.shown(batch.ids))
    return [
        f'{{"symbol":"{symbol}","tradeId":"{number}","side":"{"Buy" if side > 0 else "Sell"}",'
        f'"price":"{plain(price)}","size":"{plain(size)}","ts":"{ts}"}}'
        for ts, price, size, side, number in zip(*(column.tolist() for column in columns), strict=True)
    ]


def ticker(market: VenueMarket, one: Quote, now: int) -> str:
    """Give the row of the channel ``ticker``, without the statistics of the day."""
    # The quote stands one tick around the last price.
    last = plain(one.ask - market.source.tick)
    derived = ""
    if market.instrument.expiry:
        due = (now // _FUNDED_EVERY + 1) * _FUNDED_EVERY // 1000
        derived = (
            f'"fundingRate":"{plain(FUNDING_RATE)}","nextFundingTime":"{due}","markPrice":"{last}",'
            f'"indexPrice":"{last}","symbolType":1,"symbol":"{market.symbol}",'
        )
    return (
        f'{{"instId":"{market.symbol}","lastPr":"{last}","bidPr":"{plain(one.bid)}","askPr":"{plain(one.ask)}",'
        f'"bidSz":"{plain(one.bid_size)}","askSz":"{plain(one.ask_size)}",{derived}"ts":"{now // 1000}"}}'
    )


def candle(one: Candle, columns: int = 8) -> str:
    """Give a candle's row: ts, open, high, low, close, base volume, and the quote volume once or twice.

    The channel and spot's REST have eight columns (volume in quote currency and in USDT), that of futures seven.
    """
    prices = ",".join(f'"{plain(price)}"' for price in (one.open, one.high, one.low, one.close))
    value = f',"{plain(one.quote_volume)}"' * (columns - 6)
    return f'["{one.start // 1000}",{prices},"{plain(one.volume)}"{value}]'


def spot_symbol(market: VenueMarket) -> str:
    """Give an instrument as ``/api/v2/spot/public/symbols`` tells it."""
    instrument = market.instrument
    return (
        f'{{"symbol":"{market.symbol}","baseCoin":"{instrument.base}","quoteCoin":"{instrument.quote}",'
        f'"minTradeAmount":"0","maxTradeAmount":"900000000000000000000","takerFeeRate":"0.002","makerFeeRate":"0.002",'
        f'"pricePrecision":"{market.price_decimals}","quantityPrecision":"{market.size_decimals}",'
        f'"quotePrecision":"8","status":"online","minTradeUSDT":"1","buyLimitPriceRatio":"0.05",'
        f'"sellLimitPriceRatio":"0.05","areaSymbol":"no","orderQuantity":"200","openTime":"","offTime":""}}'
    )


def contract(market: VenueMarket) -> str:
    """Give an instrument as ``/api/v2/mix/market/contracts`` tells it."""
    instrument, lot = market.instrument, plain(market.source.lot)
    step = plain(market.source.tick.scaleb(market.price_decimals))
    return (
        f'{{"symbol":"{market.symbol}","baseCoin":"{instrument.base}","quoteCoin":"{instrument.quote}",'
        f'"buyLimitPriceRatio":"0.05","sellLimitPriceRatio":"0.05","makerFeeRate":"0.0002","takerFeeRate":"0.0006",'
        f'"supportMarginCoins":["{instrument.quote}"],"minTradeNum":"{lot}","priceEndStep":"{step}",'
        f'"volumePlace":"{market.size_decimals}","pricePlace":"{market.price_decimals}","sizeMultiplier":"{lot}",'
        f'"symbolType":"perpetual","minTradeUSDT":"5","symbolStatus":"normal","offTime":"-1","limitOpenTime":"-1",'
        f'"deliveryTime":"","deliveryStartTime":"","launchTime":"","fundInterval":"8","minLever":"1","maxLever":"125"}}'
    )

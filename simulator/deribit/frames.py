"""What Deribit tells of trades, quotes, candles and mark prices, as JSON text; times are venue time in µs.

A trade's mark price and index are its own price: the tape knows no better. ``tick_direction`` follows the taker's
side. Source: docs.deribit.com, "Subscriptions", and its samples in exchanges.md, section 5.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from core.candles import Candle
from core.instruments import Instrument
from core.trades import TradeBatch
from simulator.binance.book import Book
from simulator.deribit.names import is_inverse
from simulator.plain_numbers import double, plain
from simulator.topic import Mark, Quote
from simulator.venue_market import VenueMarket


def notification(channel: str, data: str) -> str:
    """Give the message of a channel."""
    return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}'


def listed(rows: Sequence[str]) -> str:
    """Give a JSON array of JSON texts."""
    return f"[{','.join(rows)}]"


def trades(instrument: Instrument, batch: TradeBatch) -> list[str]:
    """Give each trade as the trade channels and ``get_last_trades_by_instrument`` tell it; ids are the tape's."""
    name, prefix = instrument.native, instrument.base if is_inverse(instrument) else instrument.quote
    contracts = _contracts(instrument, batch)
    columns = (batch.ts // 1000, batch.ids, batch.price, batch.size, batch.side)
    rows = zip(*(column.tolist() for column in columns), contracts, strict=True)
    return [
        f'{{"timestamp":{ts},"price":{double(price)},"amount":{double(size)},'
        f'"direction":"{"buy" if side > 0 else "sell"}","index_price":{double(price)},"instrument_name":"{name}",'
        f'"trade_seq":{number},"mark_price":{double(price)},"tick_direction":{0 if side > 0 else 2}{more},'
        f'"trade_id":"{prefix}-{number}"}}'
        for ts, number, price, size, side, more in rows
    ]


def quote(market: VenueMarket, one: Quote) -> str:
    """Give the data of ``quote.X``."""
    return (
        f'{{"timestamp":{one.time // 1000},"instrument_name":"{market.symbol}","best_ask_price":{double(one.ask)},'
        f'"best_bid_price":{double(one.bid)},"best_ask_amount":{double(one.ask_size)},'
        f'"best_bid_amount":{double(one.bid_size)}}}'
    )


def ticker(market: VenueMarket, mark: Mark) -> str:
    """Give the data of ``ticker.X.100ms``, without the statistics of the day."""
    (bid, bids), (ask, asks) = Book(market.source, 0, mark.time, mark.price).best
    price, index = double(mark.price), double(mark.index)
    rate = double(mark.funding_rate)
    funding = f'"current_funding":{rate},"funding_8h":{rate},' if market.instrument.expiry == "PERP" else ""
    return (
        f'{{"timestamp":{mark.time // 1000},"state":"open","instrument_name":"{market.symbol}","last_price":{price},'
        f'"mark_price":{price},"index_price":{index},"estimated_delivery_price":{index},{funding}'
        f'"best_ask_price":{double(ask)},"best_bid_price":{double(bid)},"best_ask_amount":{double(asks)},'
        f'"best_bid_amount":{double(bids)}}}'
    )


def candle(market: VenueMarket, one: Candle) -> str:
    """Give the data of ``chart.trades.X.1``."""
    prices = (
        f'"open":{double(one.open)},"high":{double(one.high)},"low":{double(one.low)},"close":{double(one.close)}'
    )
    volume, cost = _turnover(market, one)
    return f'{{"tick":{one.start // 1000},{prices},"volume":{volume},"cost":{cost}}}'


def chart(market: VenueMarket, candles: Sequence[Candle]) -> str:
    """Give the result of ``get_tradingview_chart_data``: one array a member."""
    sums = [_turnover(market, one) for one in candles]
    members = {
        "ticks": [str(one.start // 1000) for one in candles],
        "open": [double(one.open) for one in candles],
        "high": [double(one.high) for one in candles],
        "low": [double(one.low) for one in candles],
        "close": [double(one.close) for one in candles],
        "volume": [volume for volume, _ in sums],
        "cost": [cost for _, cost in sums],
    }
    arrays = ",".join(f'"{name}":{listed(rows)}' for name, rows in members.items())
    return f'{{{arrays},"status":"{"ok" if candles else "no_data"}"}}'


def description(instrument: Instrument, opened: int) -> str:
    """Give an instrument as ``get_instruments`` tells it; ``opened`` is when it was created (µs)."""
    tick, lot = double(instrument.tick or Decimal(1)), double(instrument.lot or Decimal(1))
    base, counter = instrument.base, instrument.quote
    if instrument.expiry:
        period = "perpetual" if instrument.expiry == "PERP" else "month"
        form, settled = ("reversed", base) if is_inverse(instrument) else ("linear", counter)
        kind = (
            f'"kind":"future","future_type":"{form}","instrument_type":"{form}","settlement_period":"{period}",'
            f'"settlement_currency":"{settled}","contract_size":{lot},"max_leverage":50,'
            f'"expiration_timestamp":{_end(instrument)}'
        )
    else:
        kind = (
            f'"kind":"spot","instrument_type":"linear","contract_size":{lot},"expiration_timestamp":{_NEVER},'
            f'"settlement_currency":null'
        )
    return (
        f'{{"instrument_name":"{instrument.native}","base_currency":"{base}","quote_currency":"{counter}",'
        f'"counter_currency":"{counter}","price_index":"{base.lower()}_{counter.lower()}",{kind},"tick_size":{tick},'
        f'"tick_size_steps":[],"min_trade_amount":{lot},"is_active":true,"state":"open","rfq":false,'
        f'"creation_timestamp":{opened // 1000},"maker_commission":0.0,"taker_commission":0.0005}}'
    )


_NEVER = 32_503_708_800_000
"""Deribit's expiry of what does not expire: the year 3000."""


def _end(instrument: Instrument) -> int:
    if instrument.expiry == "PERP":
        return _NEVER
    day = np.datetime64(f"{instrument.expiry[:4]}-{instrument.expiry[4:6]}-{instrument.expiry[6:]}T08:00", "ms")
    return int(day.astype(np.int64))


def _turnover(market: VenueMarket, one: Candle) -> tuple[str, str]:
    """Give the volume in base and the cost in quote currency; an inverse one's volume is reckoned at the close."""
    if not is_inverse(market.instrument):
        return double(one.volume), double(one.quote_volume)
    return double(round(one.volume / Decimal(repr(one.close)), 8)), double(one.volume)


def _contracts(instrument: Instrument, batch: TradeBatch) -> list[str]:
    if not instrument.expiry or not instrument.lot:
        return [""] * len(batch)
    lots = np.rint(batch.size / float(instrument.lot)).tolist()
    return [f',"contracts":{plain(count)}.0' for count in lots]

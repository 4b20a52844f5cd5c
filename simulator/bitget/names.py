"""The names of Bitget's product types and candles.

Six hours and longer are cut in UTC+8 unless the name ends in ``utc``: the tape has those in UTC alone.
Source: bitget.com/api-doc, "Get Candlestick Data" of spot and contract, and the channel ``candle1m``.
"""

SPOT, FUTURES = "SPOT", "USDT-FUTURES"

PRODUCT_TYPES = (FUTURES, "COIN-FUTURES", "USDC-FUTURES", "SUSDT-FUTURES", "SCOIN-FUTURES", "SUSDC-FUTURES")
"""Those that there are; the tape has markets of the first."""

_UTC = {"6Hutc": "6h", "12Hutc": "12h", "1Dutc": "1d", "3Dutc": "3d", "1Wutc": "1w", "1Mutc": "1M"}

GRANULARITIES = {
    SPOT: {"1min": "1m", "3min": "3m", "5min": "5m", "15min": "15m", "30min": "30m", "1h": "1h", "4h": "4h", **_UTC},
    FUTURES: {
        "1m": "1m",
        "3m": "3m",
        "5m": "5m",
        "15m": "15m",
        "30m": "30m",
        "1H": "1h",
        "2H": "2h",
        "4H": "4h",
        **_UTC,
    },
}
"""REST's names of our timeframes; the channels' are those of futures, after ``candle``."""

CHANNELS = {f"candle{name}": timeframe for name, timeframe in GRANULARITIES[FUTURES].items()}
"""The candle channels."""

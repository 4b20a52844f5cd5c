"""Which feeds a call is about: those of the settings, some of them, or a venue's with default instruments."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

from core.errors import UnknownName, UserError
from core.instruments import Instrument
from core.settings import FeedSettings, Settings
from exchanges.ccxt_venue import PREFIX
from exchanges.registry import VENUES
from exchanges.registry import venue as venue_named
from exchanges.venue import Venue

DEFAULT_PAIRS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
"""What a venue that is only named is recorded for; on a futures market the perpetuals."""

_PAIRS = {
    "bybit-inverse": ("BTC-USD-PERP", "ETH-USD-PERP", "SOL-USD-PERP"),
    "coinbase": ("BTC-USD", "ETH-USD", "SOL-USD"),
    "deribit": ("BTC-USD-PERP", "ETH-USD-PERP", "SOL-USDC-PERP"),
    "upbit": ("BTC-KRW", "ETH-KRW", "XRP-KRW"),
}


def chosen(settings: Settings, names: Sequence[str]) -> Settings:
    """Give the settings with the feeds that ``names`` name; without names, with all of theirs.

    A name is that of a feed of the settings, else that of a venue. Raise `UnknownName` for others and for a venue
    that is not known, `UserError` for an exchange of ccxt without instruments, where a venue has no such instrument,
    an address is none, channels do not go together, or there is no feed at all.
    """
    declared = {feed.name: feed for feed in settings.feeds}
    feeds = tuple(_feed(name, declared) for name in dict.fromkeys(names)) if names else settings.feeds
    if not feeds:
        raise UserError("there is no feed to record: add one under [[feeds]] to tidemill.toml, or say --feed binance")
    for feed in feeds:
        _check(feed)
    return settings.model_copy(update={"feeds": feeds})


def _feed(name: str, declared: dict[str, FeedSettings]) -> FeedSettings:
    if name in declared:
        return declared[name]
    if name.startswith(PREFIX):
        raise _undeclared(name)
    if name not in VENUES:
        raise UnknownName("feed", name, dict.fromkeys([*declared, *VENUES]))
    venue = VENUES[name]
    pairs = _PAIRS.get(name, DEFAULT_PAIRS)
    return FeedSettings(name=name, instruments=tuple(_default(venue, pair) for pair in pairs))


def _undeclared(name: str) -> UserError:
    exchange = _of_ccxt(name)
    return UserError(
        f"feed {name!r} has no default instruments: name them in tidemill.toml in three lines: [[feeds]], "
        f'name = "{name}", instruments = ["{exchange}:BTC-USDT"]'
    )


def _of_ccxt(name: str) -> str:
    if name == PREFIX:
        raise UserError(f"the name of an exchange is missing after {PREFIX!r}: write it, as in {PREFIX}kraken")
    return venue_named(name).exchange


def _default(venue: Venue, pair: str) -> str:
    name = f"{venue.exchange}:{pair}"
    try:
        venue.native(Instrument.parse(name))
    except UserError:
        return f"{name}-PERP"
    return name


def _check(feed: FeedSettings) -> None:
    _check_address(feed, "websocket_url", "ws")
    _check_address(feed, "rest_url", "http")
    if feed.dialect == PREFIX:
        _of_ccxt(feed.dialect)
    venue = venue_named(feed.dialect, feed.websocket_url, feed.rest_url)
    instruments = [Instrument.parse(name) for name in feed.instruments]
    channels = feed.channels or (venue.trade_channel,)
    try:
        for instrument in instruments:
            venue.native(instrument)
        venue.subscriptions(instruments, channels)
        _check_ids(venue, channels)
    except UserError as error:
        raise type(error)(f"feed {feed.name!r}: {error}") if type(error) is UserError else error from None


def _check_address(feed: FeedSettings, setting: Literal["websocket_url", "rest_url"], scheme: str) -> None:
    url: str | None = getattr(feed, setting)
    if url is None or _is_address(url, scheme):
        return
    known = VENUES.get(feed.dialect)
    path = urlsplit(getattr(known, setting)).path if known else ""
    # A password in it is a secret.
    shown = "" if "@" in url else f" {url[:80]!r}"
    raise UserError(
        f"feed {feed.name!r}: the setting '{setting}'{shown} is no address of {scheme}:// or {scheme}s://: "
        f"write one like {scheme}://127.0.0.1:9555{path}"
    )


def _is_address(url: str, scheme: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port raises where it is none; paths are put behind the address.
        fits = parts.scheme in (scheme, f"{scheme}s") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return fits and url.isprintable() and not set(" ?#\\") & set(url)


def _check_ids(venue: Venue, channels: Sequence[str]) -> None:
    """Refuse channels that number the same trades differently: an instrument has one id space."""
    spaces: dict[str, str] = {}
    for channel in channels:
        if (space := venue.id_space(channel)) is not None:
            spaces.setdefault(space, channel)
    if len(spaces) > 1:
        both = " and ".join(map(repr, spaces.values()))
        raise UserError(f"the channels {both} bring the same trades under different ids: choose one in 'channels'")

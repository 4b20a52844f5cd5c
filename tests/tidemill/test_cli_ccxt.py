"""What the command line says of the exchanges that ccxt can watch."""

import json
from pathlib import Path

import pytest

from core.errors import UnknownName, UserError
from core.settings import FeedSettings, Settings
from tidemill import cli
from tidemill.chosen_feeds import chosen


def test_the_list_of_venues_mentions_them(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["venues"]) == 0
    assert capfd.readouterr().out.splitlines()[-1].startswith("and ccxt-<exchange of ccxt>: trades of any exchange")


def test_their_frames_are_parsed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    row = {"id": "7", "timestamp": 1_700_000_000_123, "price": "1.50", "amount": "2", "side": "buy"}
    file = tmp_path / "frames"
    file.write_text(json.dumps({"ccxt": "kraken", "symbol": "BTC/USDT:USDT", "trades": [row]}) + "\n{}\n")
    assert cli.run(["parse", "ccxt-kraken", str(file)]) == 0
    trade, malformed = map(json.loads, capfd.readouterr().out.splitlines())
    assert (trade["instrument"], trade["id_space"], trade["price"]) == ("kraken:BTC-USDT-PERP", "execution", "1.50")
    assert malformed["type"] == "malformed"


def feeds(venue: str, instrument: str, **more: object) -> Settings:
    return Settings(feeds=(FeedSettings(name="f", venue=venue, instruments=(instrument,), **more),))  # type: ignore[arg-type]


def test_a_feed_of_one_is_checked_before_it_is_recorded() -> None:
    assert chosen(feeds("ccxt-kraken", "kraken:BTC-USD"), []).feeds[0].dialect == "ccxt-kraken"
    with pytest.raises(UnknownName, match="did you mean 'ccxt-kraken'"):
        chosen(feeds("ccxt-krakne", "kraken:BTC-USD"), [])
    with pytest.raises(UserError, match="cannot watch the trades of onetrading"):
        chosen(feeds("ccxt-onetrading", "onetrading:BTC-EUR"), [])
    with pytest.raises(UserError, match="begin with kraken:"):
        chosen(feeds("ccxt-kraken", "okx:BTC-USD"), [])
    with pytest.raises(UnknownName, match="channel of ccxt-kraken"):
        chosen(feeds("ccxt-kraken", "kraken:BTC-USD", channels=("quote",)), [])


def test_one_that_is_only_named_is_told_how_to_be_declared() -> None:
    said = (
        r"tidemill\.toml in three lines: \[\[feeds\]\], name = \"ccxt-kraken\", instruments = \[\"kraken:BTC-USDT\"\]"
    )
    with pytest.raises(UserError, match=said):
        chosen(Settings(), ["ccxt-kraken"])
    with pytest.raises(UnknownName, match="did you mean 'ccxt-kraken'"):
        chosen(Settings(), ["ccxt-krakne"])
    declared = feeds("ccxt-kraken", "kraken:BTC-USD")
    assert chosen(declared, ["f"]) == declared


def test_a_missing_name_of_an_exchange_is_told_and_none_is_guessed() -> None:
    for refused in (lambda: chosen(Settings(), ["ccxt-"]), lambda: chosen(feeds("ccxt-", "kraken:BTC-USD"), [])):
        with pytest.raises(UserError, match="the name of an exchange is missing after 'ccxt-'"):
            refused()

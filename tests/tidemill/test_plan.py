import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.records import Command
from core.settings import CandleSettings, FeedSettings, JournalSettings, LedgerSettings, Settings, StrategySettings
from dataflows.inbox import wanted
from tidemill.plan import Change, Run, compare, runs, warm_ups

BTC, ETH, SOL = (f"binance:{base}-USDT" for base in ("BTC", "ETH", "SOL"))

feed_lists = st.lists(
    st.builds(
        FeedSettings,
        name=st.sampled_from(["binance", "second", "third"]),
        venue=st.just("binance"),
        instruments=st.lists(st.sampled_from([BTC, ETH, SOL]), min_size=1, unique=True).map(tuple),
        history_minutes=st.sampled_from([0, 60]),
    ),
    max_size=3,
    unique_by=lambda feed: feed.name,
).map(tuple)
strategy_lists = st.lists(
    st.builds(
        StrategySettings,
        name=st.just("rsi"),
        timeframe=st.sampled_from(["1m", "5m"]),
        instruments=st.sampled_from([("*",), (BTC,), (BTC, ETH)]),
        params=st.sampled_from([{}, {"length": 21}]),
    ),
    max_size=3,
).map(tuple)
all_settings = st.builds(
    Settings,
    feeds=feed_lists,
    strategies=strategy_lists,
    candles=st.builds(CandleSettings, timeframes=st.sampled_from([("1s", "1m"), ("1s", "1m", "5m")])),
    journal=st.builds(JournalSettings, max_bytes=st.sampled_from([2**30, 2**33])),
    ledger=st.builds(LedgerSettings, url=st.sampled_from([None, "postgresql://ann:hunter2@db/x"])),
)
commands = st.lists(
    st.builds(
        lambda verb, feed, name: Command(verb, feed, {"instrument": name}),
        st.sampled_from(["subscribe", "unsubscribe"]),
        st.sampled_from(["binance", "second"]),
        st.sampled_from([BTC, ETH, SOL]),
    ),
    max_size=4,
)


def recorded(settings: Settings, given_: list[Command]) -> set[tuple[str, str]]:
    return {(feed.name, name) for feed in settings.feeds for name in wanted(feed, given_)}


@given(all_settings, commands)
def test_the_plan_of_equal_settings_is_empty(settings: Settings, given_: list[Command]) -> None:
    plan = compare(settings, settings, given_)
    assert plan.empty
    # So it is against what a running system has written down, where secrets are masked.
    assert compare(Settings.model_validate_json(settings.model_dump_json()), settings, given_).empty


@given(all_settings, all_settings, commands)
def test_applying_is_exact(old: Settings, new: Settings, given_: list[Command]) -> None:
    plan = compare(old, new, given_)
    before, after = recorded(old, given_), recorded(new, given_)
    for difference, have, want in (
        (plan.feeds, {f.name for f in old.feeds}, {f.name for f in new.feeds}),
        (plan.instruments, before, after),
        (plan.timeframes, set(old.candles.timeframes), set(new.candles.timeframes)),
        (plan.runs, runs(old, {n for _, n in before}), runs(new, {n for _, n in after})),
    ):
        start, stop = set(difference.start), set(difference.stop)
        assert (have - stop) | start == want
        assert stop <= have
        assert not start & have
    assert (
        bool(plan.settings)
        or {f.name for f in old.feeds} != {f.name for f in new.feeds}
        or old == new
        or (
            # Only the order of the feeds differs: that changes nothing.
            sorted(old.feeds, key=lambda f: f.name) == sorted(new.feeds, key=lambda f: f.name)
        )
    )


@given(all_settings, all_settings, commands)
def test_the_way_back_is_the_plan_reversed(old: Settings, new: Settings, given_: list[Command]) -> None:
    there, back = compare(old, new, given_), compare(new, old, given_)
    for name in ("components", "feeds", "instruments", "runs", "timeframes"):
        assert getattr(there, name).start == getattr(back, name).stop
    assert [(c.setting, c.old, c.new) for c in there.settings] == [(c.setting, c.new, c.old) for c in back.settings]


@given(all_settings, all_settings)
def test_no_secret_is_in_a_plan(old: Settings, new: Settings) -> None:
    assert "hunter2" not in repr(compare(old, new))


@given(all_settings)
def test_what_never_ran_starts_entirely(new: Settings) -> None:
    plan = compare(None, new)
    assert set(plan.instruments.start) == recorded(new, [])
    assert [d.stop for d in (plan.components, plan.feeds, plan.instruments, plan.runs)] == [()] * 4
    assert plan.settings == ()


def test_a_changed_setting_is_named_old_and_new() -> None:
    old, new = Settings(), Settings(candles=CandleSettings(lateness_ms=700))
    assert compare(old, new).settings == (Change("candles.lateness_ms", 500, 700),)


def test_the_simulator_is_needed_by_a_simulated_feed_only() -> None:
    plan = compare(Settings(), Settings(feeds=(FeedSettings(name="binance", instruments=(BTC,)),)))
    assert plan.components.stop == ("simulator",)
    assert compare(Settings(), Settings()).empty


def test_a_simulated_feed_with_an_address_of_its_own_needs_no_simulator() -> None:
    told = Settings().feeds[0].model_copy(update={"websocket_url": "ws://127.0.0.1:4", "rest_url": "http://x"})
    assert compare(Settings(feeds=(told,)), Settings()).components.start == ("simulator",)


def test_another_address_of_a_real_feed_is_a_change() -> None:
    real = FeedSettings(name="binance", instruments=(BTC,), rest_url="http://elsewhere")
    assert compare(Settings(feeds=(real.model_copy(update={"rest_url": None}),)), Settings(feeds=(real,))).settings


def test_other_code_is_another_run() -> None:
    settings = Settings(feeds=(FeedSettings(name="binance", instruments=(BTC,)),))
    (now,) = runs(settings, [BTC])
    assert compare(settings, settings, running=[now]).empty
    before = Run("rsi-old", now.strategy, now.instrument, now.timeframe, now.params)
    plan = compare(settings, settings, running=[before])
    assert [run.id for run in plan.runs.start] == [now.id]
    assert [run.id for run in plan.runs.stop] == ["rsi-old"]


def test_runs_that_are_no_part_of_the_system_do_not_count() -> None:
    settings = Settings(feeds=(FeedSettings(name="binance", instruments=(BTC,)),))
    stray = Run("rsi-replayed", "rsi", "binance:XRP-USDT", "1m", json.dumps({}))
    assert compare(settings, settings, running=[stray]).empty


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({}, (0, 140, 0)),
        ({(BTC, "1m"): 100, (BTC, "1s"): 6000}, (100, 0, 40)),
        ({(BTC, "1m"): 100_000}, (140, 0, 0)),
        ({(ETH, "1m"): 100_000}, (0, 140, 0)),
        ({(BTC, "1s"): 30}, (0, 0, 140)),
    ],
)
def test_a_new_run_is_warmed_by_the_lake_first(
    stored: dict[tuple[str, str], int], said: tuple[int, int, int]
) -> None:
    plan = compare(None, Settings(feeds=(FeedSettings(name="binance", instruments=(BTC,)),)))
    (warm_up,) = warm_ups(plan, stored)
    assert (warm_up.lake, warm_up.venue, warm_up.missing) == said
    assert warm_up.wanted == 140

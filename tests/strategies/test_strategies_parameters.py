import json
import math
from typing import Any

import pytest

from core.errors import UnknownName, UserError
from core.timeframes import timeframe
from strategies.registry import STRATEGIES, strategy
from strategies.rsi import Rsi
from strategies.strategy import Strategy, param


@pytest.mark.parametrize(
    "params",
    [
        {"length": 1},
        {"length": 201},
        {"length": -14},
        {"length": 14.0},
        {"length": 14.5},
        {"length": "14"},
        {"length": True},
        {"length": None},
        {"length": [14]},
        {"length": math.nan},
        {"length": 10**5000},
        {"oversold": 0},
        {"oversold": 50},
        {"oversold": -1},
        {"oversold": math.nan},
        {"oversold": math.inf},
        {"oversold": -math.inf},
        {"oversold": 10**400},
        {"oversold": False},
        {"oversold": "30"},
        {"oversold": b"30"},
        {"overbought": 50},
        {"overbought": 100.0},
        {"overbought": 30},
        {"sides": "up"},
        {"sides": "LONG"},
        {"sides": ""},
        {"sides": 1},
        {"sides": None},
        [("length", 14)],
        "length=14",
        7,
    ],
)
def test_refused(params: Any) -> None:
    with pytest.raises(UserError) as refusal:
        strategy("rsi", params)
    text = str(refusal.value)
    assert "\n" not in text
    assert len(text) < 300
    assert "rsi" in text


@pytest.mark.parametrize(
    ("params", "near"),
    [({"lenght": 14}, "length"), ({"over_sold": 20}, "oversold"), ({"side": "long"}, "sides")],
)
def test_an_unknown_parameter_names_the_nearest(params: dict[str, Any], near: str) -> None:
    with pytest.raises(UnknownName) as refusal:
        strategy("rsi", params)
    assert refusal.value.nearest == near


def test_names_that_are_no_text_are_unknown() -> None:
    with pytest.raises(UnknownName):
        strategy("rsi", {14: 14})  # type: ignore[dict-item]


def test_an_unknown_strategy_names_the_nearest() -> None:
    with pytest.raises(UnknownName) as refusal:
        strategy("rsii")
    assert refusal.value.nearest == "rsi"


@pytest.mark.parametrize("params", [{"length": 2}, {"length": 200}, {"oversold": 49.9}, {"overbought": 51}])
def test_bounds_may_be_reached(params: dict[str, Any]) -> None:
    assert params.items() <= strategy("rsi", params).params.items()


def test_params_json_is_canonical() -> None:
    text = strategy("rsi").params_json()
    assert text == '{"length":14,"overbought":70.0,"oversold":30.0,"sides":"both"}'
    assert strategy("rsi", {"overbought": 70, "oversold": 30.0, "length": 14}).params_json() == text
    assert strategy("rsi", json.loads(text)) == strategy("rsi")


def test_a_parameter_is_fixed_once_set() -> None:
    rsi = Rsi({"length": 21})
    with pytest.raises(AttributeError, match="fixed"):
        rsi.length = 3
    assert rsi.length == 21


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_run_id_covers_name_code_parameters_and_place(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = strategy(name)
    place = ("binance:BTC-USDT", timeframe("1m"))
    same = strategy(name, plain.params)
    ids = {plain.run_id(*place), same.run_id(*place)}
    assert len(ids) == 1
    ids.add(plain.run_id("binance:ETH-USDT", timeframe("1m")))
    ids.add(plain.run_id("binance:BTC-USDT", timeframe("5m")))
    ids.add(strategy(name, {"length": 15}).run_id(*place))
    monkeypatch.setattr(type(plain), "code", classmethod(lambda _cls: "another"))
    ids.add(plain.run_id(*place))
    assert len(ids) == 5


def test_a_declaration_with_a_broken_default_or_type_is_refused() -> None:
    with pytest.raises(UserError, match="length"):

        class Low(Rsi):
            length: int = param(1, ge=2)

    with pytest.raises(UserError, match="annotate"):

        class Untyped(Rsi):
            width = param(3)


def test_parameters_are_inherited() -> None:
    class Wider(Rsi):
        width: float = param(2, gt=0)

    assert list(Wider.parameters) == ["length", "oversold", "overbought", "sides", "width"]
    assert Wider({"width": 3}).params["width"] == 3.0
    assert "width" not in Rsi.parameters
    assert issubclass(Wider, Strategy)

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import UnknownName, UserError
from core.settings import Settings, load

SECRET = "s3cr3t-PassWord"
URL = f"postgresql://ann:{SECRET}@db.example:5432/tidemill"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("TIDEMILL_DATA", "TIDEMILL_CONFIG", "TIDEMILL_LOG"):
        monkeypatch.delenv(name, raising=False)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, "utf-8")
    return path


def test_defaults_need_no_file() -> None:
    settings = load(environ={})
    assert settings.data == Path("data")
    assert settings.candles.lateness_ms == 500
    assert [run.name for run in settings.strategies] == ["rsi"]


def test_file_then_environment_then_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'data = "file"\nlog = "error"\n[candles]\nlateness_ms = 1\n')
    assert load(path, environ={}).data == Path("file")
    environ = {"TIDEMILL_DATA": "environment", "TIDEMILL_CANDLES__LATENESS_MS": "2"}
    settings = load(path, environ=environ)
    assert (settings.data, settings.candles.lateness_ms, settings.log) == (Path("environment"), 2, "error")
    assert load(path, data=Path("line"), environ=environ).data == Path("line")


@given(st.sets(st.sampled_from(["file", "environment", "line"])))
def test_the_highest_that_speaks_wins(tmp_path_factory: pytest.TempPathFactory, said: set[str]) -> None:
    folder = tmp_path_factory.mktemp("settings")
    path = written(folder, 'data = "file"\n' if "file" in said else "")
    environ = {"TIDEMILL_DATA": "environment"} if "environment" in said else {}
    settings = load(path, data=Path("line") if "line" in said else None, environ=environ)
    expected = next((name for name in ("line", "environment", "file") if name in said), "data")
    assert settings.data == Path(expected)


def test_one_field_of_a_section_in_the_environment_keeps_the_others_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[journal]\nsegment_bytes = 111\nmax_bytes = 222\n")
    journal = load(path, environ={"TIDEMILL_JOURNAL__MAX_BYTES": "333"}).journal
    assert (journal.segment_bytes, journal.max_bytes) == (111, 333)


def test_the_file_is_found_by_environment_and_by_place(tmp_path: Path) -> None:
    path = written(tmp_path, 'log = "error"\n')
    assert load(environ={"TIDEMILL_CONFIG": str(path)}).log == "error"
    Path("tidemill.toml").write_text('log = "info"\n', "utf-8")
    assert load(environ={}).log == "info"
    assert load(path, environ={}).log == "error"


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("journl = 1\n", "did you mean 'journal'?"),
        ("[candles]\nlatenes_ms = 1\n", "did you mean 'candles.lateness_ms'?"),
        ('[[strategies]]\nname = "rsi"\ntimefram = "1m"\n', "timeframe"),
        ("[ledger]\nurll = 'x'\n", "did you mean 'ledger.url'?"),
        (
            '[[feeds]]\nname = "binance"\ninstrument = ["binance:BTC-USDT"]\n',
            "unknown setting 'feeds.0.instrument': did you mean 'feeds.instruments'?",
        ),
    ],
)
def test_a_misspelt_name_in_the_file_is_refused_with_the_nearest(tmp_path: Path, text: str, nearest: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load(path, environ={})
    assert nearest in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("TIDEMILL_DTA", "TIDEMILL_DATA"),
        ("TIDEMILL_CANDLES__LATENESS", "TIDEMILL_CANDLES__LATENESS_MS"),
        ("TIDEMILL_JOURNAL_MAX_BYTES", "TIDEMILL_JOURNAL__MAX_BYTES"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest(variable: str, nearest: str) -> None:
    with pytest.raises(UnknownName) as caught:
        load(environ={variable: "1"})
    assert caught.value.nearest == nearest


def test_variables_of_others_are_left_alone() -> None:
    assert load(environ={"PATH": "/bin", "TIDE": "high", "TIDEMILL_SAMPLE": "x"}) == load(environ={})


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("data = 1\n", "data"),
        ('log = "loud"\n', "log"),
        ("[candles]\nlateness_ms = -1\n", "candles.lateness_ms"),
        ('[candles]\nlateness_ms = "soon"\n', "candles.lateness_ms"),
        ('[candles]\ntimeframes = ["5min"]\n', "5m"),
        ("[journal]\nmax_bytes = 0\n", "journal.max_bytes"),
        ('[[strategies]]\nname = "rsi"\ninstruments = ["BTC"]\n', "venue:BASE-QUOTE"),
        ('[[strategies]]\ntimeframe = "1m"\n', "strategies.0.name"),
        ("candles = 3\n", "candles"),
        ("strategies = 3\n", "strategies"),
    ],
)
def test_a_wrong_value_names_its_setting(tmp_path: Path, text: str, setting: str) -> None:
    with pytest.raises(UserError) as caught:
        load(written(tmp_path, text), environ={})
    assert setting in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "environ",
    [
        {"TIDEMILL_CANDLES__LATENESS_MS": "soon"},
        {"TIDEMILL_CANDLES": "{"},
        {"TIDEMILL_STRATEGIES": "rsi"},
        {"TIDEMILL_LOG": "loud"},
        {"TIDEMILL_JOURNAL": "3"},
    ],
)
def test_a_wrong_value_in_the_environment_is_a_clear_refusal(environ: dict[str, str]) -> None:
    with pytest.raises(UserError) as caught:
        load(environ=environ)
    assert "\n" not in str(caught.value)


BTC = '"binance:BTC-USDT"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data = 1\n", "setting 'data': write a path, as in"),
        ('log = "loud"\n', "setting 'log': write 'debug', 'info', 'warning' or 'error'"),
        ("candles = 3\n", "setting 'candles': write a table of settings"),
        ("strategies = 3\n", "setting 'strategies': write a list"),
        ("feeds = [3]\n", "setting 'feeds.0': write a table of settings"),
        (f'[[feeds]]\nname = "a"\ninstruments = {BTC}\n', "setting 'feeds.0.instruments': write a list"),
        ('[[feeds]]\nname = "a"\ninstruments = []\n', "setting 'feeds.0.instruments': write at least 1 of them"),
        ('[[feeds]]\nname = "a"\n', "setting 'feeds.0.instruments': is missing"),
        (f'[[feeds]]\nname = "A b"\ninstruments = [{BTC}]\n', "setting 'feeds.0.name': write lower-case letters"),
        ('[[feeds]]\nname = "a"\ninstruments = ["BTC"]\n', "setting 'feeds.0.instruments': 'BTC' is no instrument"),
        ('[[strategies]]\nname = "rsi"\ninstruments = ["BTC"]\n', "setting 'strategies.0.instruments': 'BTC' is no"),
        ('[[strategies]]\nname = "rsi"\ntimeframe = "5min"\n', "setting 'strategies.0.timeframe': unknown timeframe"),
        ('[candles]\ntimeframes = ["5min"]\n', "setting 'candles.timeframes': unknown timeframe '5min': did you"),
        ("[candles]\nlateness_ms = -1\n", "setting 'candles.lateness_ms': write 0 or more"),
        ("[candles]\nlateness_ms = 1.5\n", "setting 'candles.lateness_ms': write a whole number"),
        ("[recorder]\nstale_s = 3601\n", "setting 'recorder.stale_s': write 3600 or less"),
        ("[recorder]\nstale_s = 0\n", "setting 'recorder.stale_s': write more than 0"),
    ],
)
def test_a_wrong_value_is_refused_in_our_words_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load(path, environ={})
    assert str(caught.value).startswith(f"{path} or environment: {said}")


def test_what_is_no_json_in_the_environment_names_its_variable() -> None:
    with pytest.raises(UserError, match=r"^environment: TIDEMILL_STRATEGIES is no JSON: write a list as"):
        load(environ={"TIDEMILL_STRATEGIES": "rsi", "TIDEMILL_LOG": "info"})


def test_strategies_can_stand_in_the_environment_as_json() -> None:
    text = '[{"name": "rsi", "timeframe": "5m", "params": {"length": 21}}]'
    run = load(environ={"TIDEMILL_STRATEGIES": text}).strategies[0]
    assert (run.timeframe, run.params) == ("5m", {"length": 21})


@pytest.mark.parametrize("text", ["x = = 1\n", "[candles\n", "\x00"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="is not valid TOML"):
        load(written(tmp_path, text), environ={})


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b'data = "\xe9"\n')
    with pytest.raises(UserError, match="is not valid TOML"):
        load(tmp_path / "latin", environ={})
    with pytest.raises(UserError, match="cannot read the settings"):
        load(tmp_path / "nowhere.toml", environ={})
    with pytest.raises(UserError, match="cannot read the settings"):
        load(tmp_path, environ={})
    with pytest.raises(UserError, match="cannot read the settings"):
        load(environ={"TIDEMILL_CONFIG": str(tmp_path / "nowhere.toml")})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load(environ={}).log = "debug"


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    settings = load(environ={"TIDEMILL_LEDGER__URL": URL})
    assert settings.ledger.url is not None
    assert settings.ledger.url.get_secret_value() == URL
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in shown
    path = written(tmp_path, f'[ledger]\nurl = ["{URL}"]\n')
    for refused in (
        lambda: load(path, environ={}),
        lambda: load(environ={"TIDEMILL_LEDGER__URI": URL}),
        lambda: load(environ={"TIDEMILL_LEDGER": f'{{"uri": "{URL}"}}'}),
        lambda: load(environ={"TIDEMILL_LEDGER": f'{{"url": "{URL}"'}),
    ):
        with pytest.raises(UserError) as caught:
            refused()
        error: BaseException | None = caught.value
        while error is not None:
            assert SECRET not in str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_sections_do_not_accept_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError):
        Settings(nonsense=1)  # type: ignore[call-arg]

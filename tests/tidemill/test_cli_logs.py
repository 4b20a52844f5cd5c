import json

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from core.settings import Settings
from tidemill.logs import configure
from tidemill.redaction import HIDDEN, Redaction

PASSWORD = "corr%40ect horse"
URL = f"postgresql://ann:{PASSWORD}@db:5432/tidemill"

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    leaves | st.just(PASSWORD) | st.just(f"at {URL}!") | st.just(PASSWORD.encode()) | st.just(SecretStr("abcd")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture
def redaction() -> Redaction:
    return Redaction.of(Settings.model_validate({"ledger": {"url": URL}}))


@given(values)
def test_no_depth_hides_a_secret(value: object) -> None:
    redaction = Redaction.of(Settings.model_validate({"ledger": {"url": URL}}))
    shown = repr(redaction.value({"event": value}))
    for secret in (PASSWORD, "corr@ect horse", URL, "abcd"):
        assert secret not in shown


@given(st.dictionaries(st.text(max_size=6), leaves, max_size=4))
def test_what_is_no_secret_is_kept(event: dict[str, object]) -> None:
    assert Redaction(frozenset({"\x00never\x00"})).value(event) == event


@pytest.mark.parametrize(
    "name", ["password", "PGPASSWORD", "api_key", "apiKey", "secret", "access_token", "Authorization", "passphrase"]
)
def test_a_field_is_hidden_by_its_name(name: str) -> None:
    assert Redaction().value({name: "x", "other": "x"}) == {name: HIDDEN, "other": "x"}


def test_a_password_is_hidden_decoded_too(redaction: Redaction) -> None:
    assert redaction.text("login corr@ect horse failed") == f"login {HIDDEN} failed"


def test_lines_are_json_without_secrets_and_below_the_level_nothing(
    redaction: Redaction, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("warning", redaction)
    try:
        log = structlog.get_logger()
        log.info("too quiet")
        log.warning("connect", url=URL, password="x", instrument="binance:BTC-USDT")
        try:
            raise RuntimeError(f"cannot reach {URL}")
        except RuntimeError:
            log.exception("failed")
    finally:
        structlog.reset_defaults()
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = (json.loads(line) for line in captured.err.splitlines())
    assert (first["event"], first["level"], first["url"], first["password"]) == ("connect", "warning", HIDDEN, HIDDEN)
    assert first["instrument"] == "binance:BTC-USDT"
    assert first["timestamp"].endswith("Z")
    assert PASSWORD not in second["exception"]
    assert "cannot reach" in second["exception"]

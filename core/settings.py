"""Settings: read once, at the edge, from ``tidemill.toml``, then the environment, then the command line.

A name that is not known is an error that suggests the nearest known one, wherever it was written.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from core.errors import UnknownName, UserError
from core.instruments import Instrument
from core.setting_errors import explained
from core.timeframes import Timeframe, timeframe

Bytes = Annotated[int, Field(gt=0)]
_PREFIX = "TIDEMILL_"
_NOT_SETTINGS = {"TIDEMILL_CONFIG", "TIDEMILL_SAMPLE"}


def _named(read: Callable[[str], Timeframe | Instrument], name: str) -> str:
    try:
        return read(name).name
    except UserError as error:
        # Of a ValueError alone pydantic tells which setting it is about.
        raise ValueError(str(error)) from None


_timeframe, _instrument = partial(_named, timeframe), partial(_named, Instrument.parse)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LedgerSettings(_Section):
    """Where the ledger is; without a URL the embedded server runs in the data folder."""

    url: SecretStr | None = None
    """``postgresql://user:password@host:port/database`` of a server of your own."""


class LakeSettings(_Section):
    """Where the lake's data files are."""

    path: str | None = None
    """A folder or ``s3://bucket/prefix``; default: ``lake`` in the data folder."""


class JournalSettings(_Section):
    """How large the journal may grow, per feed."""

    segment_bytes: Bytes = 64 * 1024 * 1024
    max_bytes: Bytes = 8 * 1024 * 1024 * 1024


class CandleSettings(_Section):
    """Which candles are folded, and how long late trades are waited for."""

    timeframes: tuple[str, ...] = ("1s", "1m", "5m", "15m", "1h", "4h", "1d")
    """Folded in memory for strategies; SQL answers for every timeframe, whatever stands here."""
    lateness_ms: int = Field(500, ge=0, le=60_000)
    """A candle closes when event time has passed its end by this much."""

    @field_validator("timeframes")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_timeframe, names))


class QuoteSettings(_Section):
    """How many of the quotes and mark prices that are received are stored."""

    interval_ms: int = Field(1_000, ge=0, le=3_600_000)
    """Of each instrument the last one in each interval of this length; 0: every one."""


class StrategySettings(_Section):
    """One strategy to run: its name, where, and with which parameters."""

    name: str
    timeframe: str = "1m"
    instruments: tuple[str, ...] = ("*",)
    """Instrument names, or ``*`` for all that are recorded."""
    params: dict[str, float | int | str | bool] = {}

    @field_validator("timeframe")
    @classmethod
    def _known(cls, name: str) -> str:
        return _timeframe(name)

    @field_validator("instruments")
    @classmethod
    def _readable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if name == "*" else _instrument(name) for name in names)


class FeedSettings(_Section):
    """One feed to record: a venue, its instruments and the streams of them."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    venue: str = ""
    """The venue whose dialect it speaks; empty: the one of the feed's name."""
    instruments: Annotated[tuple[str, ...], Field(min_length=1)]
    channels: tuple[str, ...] = ()
    """Streams of each instrument; empty: the venue's trades."""
    websocket_url: str | None = None
    rest_url: str | None = None
    """Addresses instead of the venue's own."""
    history_minutes: int = Field(60, ge=0, le=1440)
    """How much of the past is fetched for an instrument that was never recorded before."""
    streams_per_connection: int | None = Field(None, ge=1)
    """At most so many, where the venue allows more: a connection that is lost touches fewer instruments."""

    @field_validator("instruments")
    @classmethod
    def _readable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(_instrument, names)))

    @property
    def dialect(self) -> str:
        """Give the venue's name."""
        return self.venue or self.name


class RecorderSettings(_Section):
    """When a connection counts as dead, and how much is caught up after it was."""

    first_data_s: float = Field(20, gt=0, le=600)
    """After subscribing, data has to come within this; else the venue is asked whether there is any."""
    stale_s: float = Field(60, gt=0, le=3600)
    """The same for a connection that has brought data before."""
    catch_up_trades: int = Field(200_000, ge=0)
    """A hole of more trades than this is left to a backfill."""
    queue_bytes: Bytes = 64 * 1024 * 1024
    """What may wait for the disk before the sockets are read no further."""


class SimulatorSettings(_Section):
    """The exchange on this machine that `tidemill up` starts for the feed ``simulated``."""

    port: int = Field(9443, ge=0, le=65_535)
    """0 takes a free one."""
    seed: int = Field(1, ge=0)
    history_hours: int = Field(24, ge=1, le=24 * 30)
    """How much of the past the invented market has on its first day."""


class MetricsSettings(_Section):
    """Where each process tells its figures, on loopback."""

    port: int = Field(9464, ge=0, le=65_000)
    """The supervisor's; the other processes take the ports after it. 0: free ones."""


class Settings(BaseSettings):
    """Hold every setting of the system."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    data: Path = Path("data")
    """The data folder."""
    limits: Path | None = None
    """Where what was sent to each exchange is remembered; None is in the data folder."""
    log: Literal["debug", "info", "warning", "error"] = "warning"
    ledger: LedgerSettings = LedgerSettings()
    lake: LakeSettings = LakeSettings()
    journal: JournalSettings = JournalSettings()
    candles: CandleSettings = CandleSettings()
    quotes: QuoteSettings = QuoteSettings()
    strategies: tuple[StrategySettings, ...] = (StrategySettings(name="rsi"),)
    feeds: tuple[FeedSettings, ...] = (
        FeedSettings(
            name="simulated", instruments=("simulated:BTC-USDT", "simulated:ETH-USDT", "simulated:SOL-USDT")
        ),
    )
    recorder: RecorderSettings = RecorderSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    metrics: MetricsSettings = MetricsSettings()

    @field_validator("feeds")
    @classmethod
    def _named_once(cls, feeds: tuple[FeedSettings, ...]) -> tuple[FeedSettings, ...]:
        names = [feed.name for feed in feeds]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"feed {twice[0]!r} stands there twice: give each feed a name of its own")
        return feeds

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` passes in alone: it reads the environment, so that nothing else does."""
        return (init_settings,)


def load(config: Path | None = None, data: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raise `UserError` naming the setting, where it was written and the nearest known name.

    ``config`` and ``data`` are what the command line said; they win over the environment, which wins over the
    file. Without ``config`` the file is ``TIDEMILL_CONFIG`` or ``./tidemill.toml``, if it is there.
    """
    environ = os.environ if environ is None else environ
    named = config or (Path(environ["TIDEMILL_CONFIG"]) if environ.get("TIDEMILL_CONFIG") else None)
    path = named or Path("tidemill.toml")
    _refuse_unknown_variables(environ)
    try:
        values = _read(path) if named or path.exists() else {}
        settings = Settings(**_merged(values, _environment(environ)))
    except ValidationError as error:
        raise UserError(explained(error, Settings, path)) from None
    # model_copy would skip validation of the path's type only: it is a Path already.
    return settings.model_copy(update={"data": data}) if data else settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the settings {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environ.items()}
    try:
        return source()
    except SettingsError as error:
        # Its words are of the library's inside, and the cause holds the value, which may be a secret.
        field = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "")
        names = [name for name in environ if name.upper().startswith(_PREFIX + field.upper())]
        said = " or ".join(sorted(names))
        raise UserError(f"environment: {said} is no JSON: write a list as '[...]', a table as '{{...}}'") from None


def _merged(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    both = {k: _merged(low[k], v) for k, v in high.items() if isinstance(v, dict) and isinstance(low.get(k), dict)}
    return {**low, **high, **both}


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = _names(Settings.model_fields)
    for name in environ:
        if not name.upper().startswith(_PREFIX) or name.upper() in _NOT_SETTINGS:
            continue
        dotted = name[len(_PREFIX) :].lower().replace("__", ".")
        if dotted not in known:
            variables = [_PREFIX + k.upper().replace(".", "__") for k in sorted(known)]
            raise UnknownName("environment variable", name, variables)


def _names(fields: Mapping[str, FieldInfo], prefix: str = "") -> set[str]:
    names = set()
    for name, field in fields.items():
        names.add(prefix + name)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= _names(kind.model_fields, f"{prefix}{name}.")
    return names

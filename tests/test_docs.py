"""What users meet is written down, and what is written down exists."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from core.settings import FeedSettings, Settings, StrategySettings
from tidemill.commands.table import COMMANDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text("utf-8")
TEXTS = CONFIGURATION + (ROOT / "README.md").read_text("utf-8")

LISTED: dict[str, type[BaseModel]] = {"strategies": StrategySettings, "feeds": FeedSettings}


def setting_names(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        kind = LISTED.get(name, field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from setting_names(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


SETTINGS = list(setting_names(Settings))


def test_settings_of_every_depth_are_found() -> None:
    assert {"data", "ledger.url", "candles.lateness_ms", "strategies.params"} <= set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_documented(name: str) -> None:
    assert f"| `{name}` |" in CONFIGURATION


def test_every_documented_setting_exists() -> None:
    table = CONFIGURATION[CONFIGURATION.index("| setting |") :].split("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", table, re.M)) == set(SETTINGS)


def test_the_file_that_is_shown_is_valid_and_says_the_defaults() -> None:
    text = CONFIGURATION.split("```toml\n")[1].split("```")[0]
    shown = Settings.model_validate(tomllib.loads(text))
    defaults = Settings()
    assert shown.model_dump(exclude={"strategies"}) == defaults.model_dump(exclude={"strategies"})
    assert shown.strategies[0].name == defaults.strategies[0].name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert f"`tidemill {name}" in TEXTS


def test_every_documented_command_exists() -> None:
    assert set(re.findall(r"tidemill ([a-z]+)", CONFIGURATION)) <= COMMANDS.keys()


def test_decisions_are_numbered_uniquely() -> None:
    names = [path.name for path in (DOCS / "decisions").glob("*.md")]
    assert [name for name in names if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name)] == []
    twice = [number for number, times in Counter(name[:4] for name in names).items() if times > 1]
    assert twice == []


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))]
    broken = [(page.name, link) for page, link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []

"""The documentation says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pipeline import recipe
from predictor.settings import PREFIX, Settings
from storage_init.package_schema import schema

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    page = (ROOT / "docs" / "serving.md").read_text()
    documented = re.findall(r"^\| `--(\w+)` \| `(\w+)` \|", page, re.MULTILINE)
    assert documented == [(f.name, PREFIX + f.name.upper()) for f in fields(Settings)]


def test_the_documented_defaults_are_the_codes_own() -> None:
    page = (ROOT / "docs" / "serving.md").read_text()
    documented = dict(re.findall(r"^\| `--(\w+)` \| `\w+` \| `?([^|`]+)`? \|", page, re.MULTILINE))
    assert documented.pop("lanes").strip() == "CPUs of the container"
    defaults = {f.name: str(f.default) for f in fields(Settings) if f.name != "lanes"}
    spelled = {"none": "None", "true": "True", "false": "False"}
    assert {k: spelled.get(v.strip(), v.strip()) for k, v in documented.items()} == defaults


def test_every_variable_of_the_storage_initializer_is_documented_and_read() -> None:
    page = (ROOT / "docs" / "storage.md").read_text()
    documented = set(re.findall(r"^\| `(WARMSTART_\w+)` \|", page, re.MULTILINE))
    code = "".join(path.read_text() for path in (ROOT / "storage_init").rglob("*.py"))
    # Those of the predictor and the pipeline appear there in sentences only.
    assert documented == set(re.findall(r'"(WARMSTART_\w+)"', code))


def test_the_published_schema_is_the_codes_own() -> None:
    assert (ROOT / "docs" / "package.schema.json").read_text() == schema(), "run `make schema`"


def test_the_documented_recipe_is_the_default_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text()
    block = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert block is not None
    text, texts = block[1].split("selftest_texts:")
    assert "- I would not watch this film again." in texts
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert recipe.read_recipe(path) == recipe.Recipe()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_resolve(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []

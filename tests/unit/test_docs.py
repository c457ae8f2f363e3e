"""The documentation says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pipeline import recipe, recipe_docs
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


def test_the_recipes_reference_and_schema_are_the_types_own() -> None:
    docs = ROOT / "docs"
    written = (docs / recipe_docs.PAGE).read_text()
    assert recipe_docs.page(written) == written, "run `make schema`"
    assert (docs / recipe_docs.SCHEMA_FILE).read_text() == recipe_docs.schema(), "run `make schema`"


def test_the_documented_recipe_can_be_read(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "recipe.md").read_text(), re.DOTALL)
    assert block is not None
    (tmp_path / "reviews.jsonl").write_text('{"text": "good"}\n')
    (tmp_path / "recipe.yaml").write_text(block[1])
    assert recipe.read_recipe(tmp_path / "recipe.yaml").int8.exclude == ("*classifier*",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_resolve(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []

"""The documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline import recipe, recipe_docs
from pipeline import settings_docs as pipeline_docs
from predictor import settings_docs
from storage_init import reference
from storage_init.package_schema import schema

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def test_the_reference_of_settings_is_the_codes_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("WARMSTART_STORE", "WARMSTART_KFP_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    written = (ROOT / "docs" / reference.PAGE).read_text()
    page = reference.filled(written, reference.reference(), reference.PART)
    page = reference.filled(page, settings_docs.reference(), settings_docs.PART)
    page = reference.filled(page, pipeline_docs.flags(), pipeline_docs.FLAGS)
    page = reference.filled(page, pipeline_docs.parameters(), pipeline_docs.PARAMETERS)
    assert page == written, "run `make schema`"


def test_every_variable_that_the_code_names_is_documented() -> None:
    page = (ROOT / "docs" / reference.PAGE).read_text()
    code = "".join(
        path.read_text()
        for package in ("pipeline", "predictor", "storage_init")
        for path in (ROOT / package).rglob("*.py")
    )
    named = set(re.findall(r'"(WARMSTART_[A-Z_]*[A-Z])"', code))
    assert len(named) > 10
    assert {name for name in named if name not in page} == set()


def test_the_published_schema_is_the_codes_own() -> None:
    assert (ROOT / "docs" / "package.schema.json").read_text() == schema(), "run `make schema`"


def test_the_recipes_reference_and_schema_are_the_types_own() -> None:
    docs = ROOT / "docs"
    written = (docs / recipe_docs.PAGE).read_text()
    assert reference.filled(written, recipe_docs.reference()) == written, "run `make schema`"
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

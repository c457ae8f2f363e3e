"""The documentation matches the code: references, messages, links and manifests."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from docs.generate import clients as clients_docs
from docs.generate import pipeline as pipeline_docs
from docs.generate import predictor as settings_docs
from docs.generate import recipe as recipe_docs
from docs.generate import tables as reference
from pipeline.recipe import recipe
from storage_init.format.schema import schema
from tests.support.machine.documents import (
    PAGES,
    REASONS,
    ROOT,
    Block,
    all_blocks,
    anchors,
    is_said,
    links,
    messages,
    prose,
    quotes,
)
from tests.support.machine.documents import blocks as blocks_of
from tests.support.manifests.schemas import group, kserve_mistakes, mistakes, validate_core

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "InferenceService": "V1beta1InferenceService",
    "ClusterServingRuntime": "V1alpha1ClusterServingRuntime",
    "ClusterStorageContainer": "V1alpha1ClusterStorageContainer",
}

PAGE = """# A title, with `code`

<!-- run -->

```
one
```
1. text
   <!-- not run: takes minutes -->
   ```console
   $ two
   ```

```yaml
apiVersion: v1
```

## Twice
## Twice
## [Linked](x.md) & more

[a](other.md#part) `[b](not.md)` [c](https://example.com/d)
"""


def test_the_settings_reference_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("WARMSTART_STORE", "WARMSTART_KFP_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    written = (ROOT / "docs" / reference.PAGE).read_text()
    page = reference.filled(written, reference.reference(), reference.PART)
    page = reference.filled(page, settings_docs.reference(), settings_docs.PART)
    page = reference.filled(page, pipeline_docs.flags(), pipeline_docs.FLAGS)
    page = reference.filled(page, pipeline_docs.parameters(), pipeline_docs.PARAMETERS)
    assert page == written, "run `make schema`"


def test_the_table_of_clients_is_the_suites() -> None:
    written = (ROOT / "docs" / clients_docs.PAGE).read_text()
    assert reference.filled(written, clients_docs.reference()) == written, "run `make schema`"


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


def test_the_published_schema_is_up_to_date() -> None:
    assert (ROOT / "docs" / "package.schema.json").read_text() == schema(), "run `make schema`"


def test_the_recipe_reference_and_schema_are_up_to_date() -> None:
    docs = ROOT / "docs"
    written = (docs / recipe_docs.PAGE).read_text()
    assert reference.filled(written, recipe_docs.reference()) == written, "run `make schema`"
    assert (docs / recipe_docs.SCHEMA_FILE).read_text() == recipe_docs.schema(), "run `make schema`"


BLOCKS = all_blocks()


def test_every_block_is_marked_for_its_test() -> None:
    """No block is left out silently; ``tests.support.machine.documents`` lists the marks."""
    known = {"run", "run: server", "shown", *(f"not run: {reason}" for reason in REASONS)}
    wrong = [
        f"{block.where}: {block.mark or 'no comment above the block says what to do with it'}"
        for block in BLOCKS
        if block.mark not in known and not block.is_manifest and block.part_of is None
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.is_manifest], ids=lambda block: block.where
)
def test_whole_manifests_pass_their_schemas(block: Block) -> None:
    for document in yaml.safe_load_all(block.text):
        if group(document) == "serving.kserve.io":
            assert kserve_mistakes(document) == []
        else:
            validate_core(document)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.part_of], ids=lambda block: block.where
)
def test_parts_fit_the_kind_that_they_name(block: Block, tmp_path: Path) -> None:
    if block.part_of == "recipe":
        (tmp_path / "reviews.jsonl").write_text('{"text": "good"}\n')
        (tmp_path / "recipe.yaml").write_text(block.text)
        recipe.read_recipe(tmp_path / "recipe.yaml")
    else:
        part = yaml.safe_load(block.text)
        assert list(mistakes(part, KINDS[block.part_of or ""], block.part_of or "")) == []


def test_a_mistake_in_a_part_is_found() -> None:
    part = yaml.safe_load("{spec: {predictor: {modle: {}}}}")
    (mistake,) = mistakes(part, KINDS["InferenceService"], "InferenceService")
    assert mistake.startswith("InferenceService.spec.predictor.modle")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve_to_files_and_headings(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            if not re.fullmatch(r"https://[\w.-]+\.[a-z]+(/\S*)?", link):
                broken.append(link)
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        # Only pages have headings; links to lines of files are not checked.
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_capacity_tables_are_their_formulas() -> None:
    page = (ROOT / "docs" / "capacity.md").read_text()
    (stated,) = re.findall(r"The columns are (.+) GB a second", page)
    bandwidths = [float(each) for each in re.findall(r"[\d.]+", stated)]
    rows = re.findall(r"^\| ([\d.]+) (MB|GB) \| ([\d,]+) \| (\d+) \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) == 9
    for size, unit, pods, nodes, rest in rows:
        assert int(nodes) == math.ceil(int(pods.replace(",", "")) / 8)
        read = int(nodes) * float(size) / {"MB": 1000, "GB": 1}[unit]
        shown = [float(each.split()[0]) for each in rest.split(" | ")]
        expected = [read, *(read / bandwidth for bandwidth in bandwidths)]
        assert shown == pytest.approx(expected, rel=0.04, abs=0.05)
    for parameters, formula in re.findall(r"^\| (\d+) M \| \d+ \| (\d+) \|$", page, re.MULTILINE):
        assert int(formula) == 85 + int(parameters)


SAID = messages(("pipeline", "predictor", "storage_init"))


def test_messages_quoted_in_troubleshooting_exist_in_the_code() -> None:
    quoted = quotes(ROOT / "docs" / "troubleshooting.md")
    assert len(quoted) > 50
    assert [quote for quote in quoted if not is_said(quote, SAID)] == []


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        ("self-test failed: variant … is … off the reference on text … of …, tolerance …", True),
        ("self-test failed: the variant … is … off", False),
        ("the queue is full: … texts wait, and … more are above … (--max_queue_texts)", True),
        ("the queue is full: … texts wait, so go away", False),
        ("model … is not quite ready", False),
    ],
)
def test_an_invented_quote_is_found(quote: str, expected: bool) -> None:
    assert is_said(quote, SAID) is expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_places_in_the_code_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:benchmarks|docs|manifests|pipeline|predictor|storage_init|tests)/[\w./*-]*)`",
        prose(page),
    )
    assert [place for place in named if not list(ROOT.glob(place))] == []


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    named = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert {page for page in PAGES if page.parent.is_relative_to(index.parent)} - named == {index}


def test_blocks_links_and_anchors_are_read_from_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    first, second, third = blocks_of(page)
    assert (first.mark, first.line, first.text) == ("run", 5, "one\n")
    assert (second.language, second.text, second.reason) == ("console", "$ two\n", "takes minutes")
    assert (third.mark, third.is_manifest) == ("", True)
    assert anchors(page) == {"a-title-with-code", "twice", "twice-1", "linked--more"}
    assert links(page) == ["x.md", "other.md#part", "https://example.com/d"]

"""Architectures beside BERT: prepared, served and compared as the table of the documentation is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architectures.catalogue import ARCHITECTURES
from tests.architectures.cells import measure
from tests.architectures.page import mark
from tests.architectures.tasks import TASKS

pytestmark = [
    pytest.mark.integration,
    # Of tracing dozens of models, about what each of them does.
    pytest.mark.filterwarnings("ignore::Warning"),
]

NAMED = {architecture.name: architecture for architecture in ARCHITECTURES}
PAGE = Path(__file__).parents[3] / "docs" / "models.md"


@pytest.mark.parametrize(
    ("name", "task"),
    [
        # transformers' tokenizer for it takes `[CLS]` for what it does not know.
        ("RemBERT", "tokens"),
        # Its pairs have token types, BigBird's head for questions makes some of its own, and Qwen3
        # reads a text's last token.
        ("ALBERT", "pairs"),
        ("BigBird", "answers"),
        ("Qwen3", "reranking"),
        pytest.param("ConvBERT", "embedding", marks=pytest.mark.slow),
    ],
)
def test_an_architecture_answers_as_its_original(name: str, task: str, tmp_path: Path) -> None:
    cell = measure(NAMED[name], [task], tmp_path, by_command=False).cells[task]
    assert (cell.state, cell.why) == ("equal", None)
    assert cell.kinds > 2, "one answer for all texts would prove nothing"


def test_what_cannot_be_exported_is_refused_in_one_line(tmp_path: Path) -> None:
    row = measure(NAMED["Longformer"], ["classification"], tmp_path, by_command=False)
    cell = row.cells["classification"]
    assert cell.state == "refused"
    assert (
        cell.why == "longformer cannot be exported to ONNX: PyTorch makes no graph of it that runs"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_the_documented_table_is_what_is_found(name: str, tmp_path: Path) -> None:
    row = measure(NAMED[name], list(TASKS), tmp_path)
    found = [mark(cell, {}) for cell in row.cells.values()]
    line = next(x for x in PAGE.read_text().splitlines() if x.startswith(f"| {name} |"))
    documented = [re.sub(r" \[\d+\]$", "", cell.strip()) for cell in line.split("|")[2:-1]]
    pairs = list(zip(found, documented, strict=True))
    assert all(one == other for one, other in pairs if other != "not run"), row.cells

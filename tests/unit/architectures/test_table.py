"""The table of architectures: its cells, and which answers count as different."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from storage_init.format.package import Closeness
from tests.architectures import __main__ as runner
from tests.architectures import page
from tests.architectures.catalogue import ARCHITECTURES
from tests.architectures.cells import Cell, Int8, Row, difference, one_line
from tests.architectures.graphs import Counts
from tests.architectures.tasks import TASKS, Answers

CLOSE = Closeness(texts=8, label_agreement=0.9)
PUBLISHED = Cell("equal", None, 26, 9, 2e-7, Int8(CLOSE, None), Counts(30, {"Attention": 2}))
GATED = Cell("equal", None, 26, 9, 3e-6, Int8(CLOSE, "it is 0.2, limit 0.15"))
REFUSED = Cell("refused", "xlm has no fast tokenizer")
DOCS = Path(__file__).parents[3] / "docs"


def row(name: str, **cells: Cell) -> Row:
    return Row(name, name.lower(), cells, 1.0)


def test_cells_show_the_outcome_and_reasons_are_notes() -> None:
    rows = [
        row("BERT", pairs=PUBLISHED, tokens=GATED),
        row("XLM", pairs=REFUSED, tokens=REFUSED),
        row("ESM", pairs=PUBLISHED, embedding=PUBLISHED),
        row("FNet", pairs=Cell("absent"), tokens=Cell("differs", "text 3: a instead of b", 26)),
    ]
    text = page.markdown(rows, ["pairs", "tokens"], {"torch": "2"})
    assert "| BERT | int8 | fp32 |" in text
    assert "| XLM | none [1] | none [1] |" in text
    assert "| FNet | – | **differs** [2] |" in text  # noqa: RUF001
    assert "| ESM | int8 | not run |" in text
    assert "| 30 | – | 2 Attention |" in text  # noqa: RUF001
    assert "1. xlm has no fast tokenizer\n2. text 3: a instead of b\n" in text
    assert "| BERT | 3e-06 | agreement 90% | tokens: it is 0.2, limit 0.15 |" in text
    assert "With torch 2." in text


def test_equal_answers_differ_by_rounding_at_most() -> None:
    want = Answers(["a", "b"], [[0.5], [0.1, 0.2]])
    assert difference(Answers(["a", "b"], [[0.5], [0.1, 0.20005]]), want)[0] is None
    why, largest = difference(Answers(["a", "b"], [[0.5], [0.1, 0.21]]), want)
    assert why == "a number is 0.01 off"
    assert largest == pytest.approx(0.01)
    assert difference(Answers(["a", "c"], want.numbers), want)[0] == "text 1: c instead of b"
    not_a_number = Answers(["a", "b"], [[float("nan")], [0.1, 0.2]])
    assert difference(not_a_number, want)[0] is not None


def test_reasons_name_no_folder_of_this_machine() -> None:
    work = Path("/somewhere/deep")
    message = f"[2/6] export   {work}/models/m cannot\nbe exported"
    assert one_line(message, work) == "models/m cannot be exported"


def test_cells_of_earlier_runs_stay_until_they_are_measured_again(tmp_path: Path) -> None:
    first = runner.Report(runner.read(tmp_path).versions, [row("BERT", pairs=GATED)])
    runner.write(first, tmp_path)
    later = runner.with_row(runner.read(tmp_path), row("BERT", tokens=PUBLISHED))
    assert later.rows[0].cells == {"pairs": GATED, "tokens": PUBLISHED}
    runner.write(runner.Report({"torch": "0"}, later.rows), tmp_path)
    assert runner.read(tmp_path).rows == [], "found with other versions"


def test_a_run_that_was_stopped_resumes_with_what_is_missing(tmp_path: Path) -> None:
    rows = [row("BERT", pairs=GATED, tokens=GATED), row("ESM", pairs=GATED)]
    report = runner.Report(runner.read(tmp_path).versions, rows)
    names = ["BERT", "ESM", "FNet"]
    assert runner.missing(report, names, ["pairs"]) == ["FNet"]
    assert runner.missing(report, names, ["pairs", "tokens"]) == ["ESM", "FNet"]
    complete = runner.with_the_rest(rows)
    assert [each.name for each in complete] == [each.name for each in ARCHITECTURES]
    assert {each.name for each in complete if each.cells} == {"BERT", "ESM"}


def test_the_page_has_all_architectures_and_tasks_and_no_different_answer() -> None:
    text = (DOCS / "models.md").read_text()
    assert f"|  | {' | '.join(TASKS)} |" in text
    for architecture in ARCHITECTURES:
        assert re.search(rf"^\| {re.escape(architecture.name)} \|", text, re.MULTILINE)
    assert "differs" not in text

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from benchmarks.bench import rotated
from benchmarks.harness import machine, options, report
from benchmarks.harness.figures import Summary
from benchmarks.harness.report import Target

if TYPE_CHECKING:
    from pathlib import Path


def test_a_table_is_markdown_with_its_notes_on_one_line_each() -> None:
    table = report.Table("Title", ["a", "b"], [["1", "x|y"]], ["a\nnote"])
    assert table.markdown().splitlines() == [
        *("### Title", "", "| a | b |", "| --- | --- |", "| 1 | x\\|y |", "", "a note")
    ]


def test_what_was_not_measured_is_a_dash() -> None:
    assert report.shown(None) == report.NOTHING
    assert report.shown(Summary(1, 1, 1, 1), 1000, 0) == "1000"


@pytest.mark.parametrize(("met", "word"), [(True, "yes"), (False, "**no**"), (None, "–")])  # noqa: RUF001
def test_a_target_that_is_not_met_says_so(met: bool | None, word: str) -> None:
    target = Target("3", "rate", "at least 0.85", "0.45", met)
    text = report.markdown(machine.describe(), "command", [target], [])
    assert f"| 3 | rate | at least 0.85 | 0.45 | {word} |" in text


def test_samples_and_text_are_written(tmp_path: Path) -> None:
    class Part(msgspec.Struct):
        values: list[float]

    out = tmp_path / "report"
    report.write(out, machine.describe(), "command", {"part": Part([1.5, float("nan")])}, "text")
    content = json.loads((out / "report.json").read_text())
    assert content["parts"]["part"]["values"] == [1.5, None]
    assert content["machine"]["packages"]["onnxruntime"]
    assert (out / "report.md").read_text() == "text"


def test_quick_is_shorter_and_what_is_said_wins() -> None:
    full, quick = options.parse([]), options.parse(["--quick"])
    assert full.rounds >= 7
    assert full.connections == (1, 4, 16, 64)
    assert quick.rounds < full.rounds
    assert quick.requests < full.requests
    assert options.parse(["--quick", "--rounds=3", "--connections=2,8"]).connections == (2, 8)
    assert options.parse(["memory"]).parts == ("memory",)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parse(["speed"])
    assert "unknown part speed" in capsys.readouterr().err


def test_each_round_has_another_order() -> None:
    assert [rotated("abc", number) for number in range(3)] == [
        list("abc"),
        list("bca"),
        list("cab"),
    ]
    assert rotated([], 1) == []

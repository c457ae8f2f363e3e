from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from benchmarks.harness import machine, report
from benchmarks.harness.figures import Summary
from benchmarks.harness.report import Goal, Target

if TYPE_CHECKING:
    from pathlib import Path


class Part(msgspec.Struct):
    server: str
    seconds: float | None


def test_a_table_is_markdown_with_each_note_on_one_line() -> None:
    table = report.Table("Title", ["a", "b"], [["1", "x|y"]], ["a\nnote"])
    assert table.markdown().splitlines() == [
        *("### Title", "", "| a | b |", "| --- | --- |", "| 1 | x\\|y |", "", "a note")
    ]


def test_samples_with_the_same_keys_are_one_row_and_missing_values_a_dash() -> None:
    samples = [Part("a", 1.0), Part("b", None), Part("a", 2.0)]
    columns = {"ms": report.median("seconds", 1000, 0), "starts": lambda row: str(len(row))}
    table = report.tabulate("Title", samples, {"server": "server"}, columns)
    assert table.header == ["server", "ms", "starts"]
    assert table.rows == [["a", "1500 (1000 to 2000)", "2"], ["b", report.NOTHING, "1"]]


@pytest.mark.parametrize(
    ("goal", "value", "caveat", "measured", "met"),
    [
        (Goal("1", "t", at_most=1, unit=" s"), 1.0, None, "1.00 s", True),
        (Goal("1", "t", at_most=1, unit=" s"), 1.1, None, "1.10 s", False),
        (Goal("1", "t", at_least=1, unit=" s"), 1.1, None, "1.10 s", True),
        (Goal("1", "t", at_least=1, unit=" s"), 1.1, "of another", "1.10 s; of another", None),
        (Goal("1", "t", at_least=1), None, None, "not measured", None),
    ],
)
def test_a_goal_is_judged_by_its_median_unless_there_is_a_caveat(
    goal: Goal, value: float | None, caveat: str | None, measured: str, met: bool | None
) -> None:
    target = goal.judge(None if value is None else Summary((value,)), caveat)
    assert (target.measured, target.met) == (measured, met)


def test_verdicts_samples_and_text_are_written(tmp_path: Path) -> None:
    targets = [Target("3", "rate", "at least 1", "0.4", met) for met in (True, False, None)]
    parts = {"part": Part("a", float("nan"))}
    out, described = tmp_path / "report", machine.describe()
    text = report.write(out, described, "command", parts, targets, [])
    for word in ("yes", "**no**", report.NOTHING):
        assert f"| 3 | rate | at least 1 | 0.4 | {word} |" in text
    assert (out / "report.md").read_text() == text
    content = json.loads((out / "report.json").read_text())
    assert content["parts"]["part"] == {"server": "a", "seconds": None}
    assert content["machine"]["packages"]["onnxruntime"]

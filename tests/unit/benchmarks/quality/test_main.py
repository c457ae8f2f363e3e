"""The quality table and its target."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality import __main__ as quality
from benchmarks.quality.__main__ import Answered, Quality


def result(int8: float | None = 0.84) -> Quality:
    answered = [
        Answered(quality.ORIGINAL, 0.85, 0.8499, 0, None),
        Answered("fp32", 0.85, 0.8499, None, 0),
    ]
    if int8 is not None:
        answered.append(Answered("int8", int8, 0.83, 25, 1))
    reasons = {"fp32": None, "int8": None if int8 else "label agreement 0.5 is below 0.95"}
    return Quality(8000, 2500, answered, reasons, None)


def test_each_graph_is_a_row_with_counts_and_shares() -> None:
    table = quality.table(result())
    assert table.rows[0][1:] == ["85.00%", "0.8499", "0 (0.00%)", "–"]  # noqa: RUF001
    assert table.rows[1][3:] == ["–", "0 (0.00%)"]  # noqa: RUF001
    assert table.rows[2] == ["int8", "84.00%", "0.8300", "25 (1.00%)", "1 (0.04%)"]
    assert table.title == "2500 held-out sentences, 8000 to train on"
    assert table.notes == []


@pytest.mark.parametrize(("int8", "met"), [(0.8401, True), (0.8399, False), (0.86, True)])
def test_int8_may_lose_a_point_against_fp32(int8: float, met: bool) -> None:
    (target,) = quality.targets(result(int8))
    assert target.met is met


def test_an_unpublished_int8_misses_the_target_with_its_reason() -> None:
    (target,) = quality.targets(result(None))
    assert (target.met, target.measured) == (False, "label agreement 0.5 is below 0.95")
    assert quality.table(result(None)).notes == ["int8: label agreement 0.5 is below 0.95."]


def test_graphs_are_compared_by_label() -> None:
    alone, mixed = [[1, 0], [0.3, 0.2], [0, 1]], [[1, 0], [0.1, 0.2], [1, 0]]
    logits: dict[str, quality.Logits] = {
        "fp32": (np.array([[1, 0], [0, 1], [0, 1]]), None),
        "int8": (np.array(alone), np.array(mixed)),
    }
    answered = quality.answered("int8", logits, [0, 0, 1])
    assert (answered.accuracy, answered.differing_from_fp32, answered.flipped) == (1.0, 1, 2)
    assert quality.answered("fp32", logits, [0, 0, 1]).flipped is None

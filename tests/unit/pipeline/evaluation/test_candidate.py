"""The shapes that times are taken over, what a predictor is told of them, and graphs that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from pipeline.evaluation.candidate import Candidate, Shape, shapes, speed
from pipeline.evaluation.examples import Batch
from pipeline.graphs.files import GraphError
from pipeline.recipe.recipe import Bench
from pipeline.workspace.evidence import ShapeTime
from storage_init.running.runtime import open_session
from tests.unit.pipeline.encoders import write

if TYPE_CHECKING:
    from pathlib import Path


def test_every_length_alone_and_in_batches() -> None:
    bench = Bench(tokens=(32, 8), batch=4)
    assert shapes(bench, 512) == [Shape(8, 1), Shape(32, 1), Shape(8, 4), Shape(32, 4)]


def test_lengths_that_the_model_cuts_count_once() -> None:
    bench = Bench(tokens=(8, 64, 128), batch=2)
    assert shapes(bench, 48) == [Shape(8, 1), Shape(48, 1), Shape(8, 2), Shape(48, 2)]


def test_speed_is_the_mean_over_lengths() -> None:
    times = [ShapeTime(8, 1, 2.0), ShapeTime(32, 1, 4.0), ShapeTime(8, 4, 1.0), ShapeTime(32, 4, 2)]
    found = speed(times, Bench(batch=4))
    assert (found.alone_ms, found.batched_ms, found.batch) == (3.0, 1.5, 4)


def test_batches_of_one_are_alone() -> None:
    bench = Bench(tokens=(8,), batch=1)
    assert shapes(bench, 512) == [Shape(8, 1)]
    assert speed([ShapeTime(8, 1, 2.0)], bench).batched_ms == 2.0


# Halves: an export of a batch of two that knows no other.
HALVES = """
<ir_version: 8, opset_import: ["" : 18]>
halves (int64[N, L] input_ids) => (int64[2, M] logits)
{
    shape = Constant <value = int64[2] {2, -1}> ()
    logits = Reshape (input_ids, shape)
}
"""


def test_a_graph_that_does_not_run_is_refused_by_name(tmp_path: Path) -> None:
    session = open_session(write(tmp_path, onnx.parser.parse_model(HALVES)))
    nobody: Any = None
    candidate = Candidate("fp32", session, nobody)
    batch = Batch({"input_ids": np.ones((1, 3), dtype=np.int64)}, None)
    with pytest.raises(GraphError, match=r"^the graph of fp32 does not run on 1 texts: .*Reshape"):
        candidate.run(batch)

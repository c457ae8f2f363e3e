"""The shapes that times are taken over, a variant's speed, and graphs that do not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from pipeline.evaluation.candidate import Candidate, shapes, speed
from pipeline.evaluation.examples import Batch
from pipeline.graphs.files import GraphError
from pipeline.recipe.recipe import Bench
from storage_init.format.measurements import ShapeTime
from storage_init.running.session import open_session
from tests.unit.pipeline.encoders import write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("bench", "max_length", "expected"),
    [
        (Bench(tokens=(32, 8), batch=4), 512, [(8, 1), (32, 1), (8, 4), (32, 4)]),
        (Bench(tokens=(8, 64, 128), batch=2), 48, [(8, 1), (48, 1), (8, 2), (48, 2)]),
        (Bench(tokens=(8,), batch=1), 512, [(8, 1)]),
    ],
)
def test_shapes_are_every_length_that_the_model_takes_alone_and_in_batches(
    bench: Bench, max_length: int, expected: list[tuple[int, int]]
) -> None:
    assert shapes(bench, max_length) == expected


def test_speed_is_the_mean_over_lengths() -> None:
    times = [ShapeTime(8, 1, 2.0), ShapeTime(32, 1, 4.0), ShapeTime(8, 4, 1.0), ShapeTime(32, 4, 2)]
    found = speed(times, Bench(batch=4))
    assert (found.alone_ms, found.batched_ms, found.batch) == (3.0, 1.5, 4)
    assert speed([ShapeTime(8, 1, 2.0)], Bench(tokens=(8,), batch=1)).batched_ms == 2.0


# An export that kept its example's batch of two.
HALVES = """
<ir_version: 8, opset_import: ["" : 18]>
halves (int64[N, L] input_ids) => (int64[2, M] logits)
{
    shape = Constant <value = int64[2] {2, -1}> ()
    logits = Reshape (input_ids, shape)
}
"""


def test_the_error_for_a_graph_that_does_not_run_names_its_variant(tmp_path: Path) -> None:
    session = open_session(write(tmp_path, onnx.parser.parse_model(HALVES)))
    nobody: Any = None
    candidate = Candidate("fp32", session, nobody)
    batch = Batch({"input_ids": np.ones((1, 3), dtype=np.int64)}, None)
    with pytest.raises(GraphError, match=r"^the graph of fp32 does not run on 1 texts: .*Reshape"):
        candidate.run(batch)

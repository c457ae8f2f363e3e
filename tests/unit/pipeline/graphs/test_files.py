"""Saved graphs have their weights beside them, are optimised, and are always the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from pipeline.graphs.files import GraphError, finalize, save
from storage_init.running.session import open_session
from tests.unit.pipeline.encoders import operators, parse

if TYPE_CHECKING:
    from pathlib import Path

# A weight of 1.4 MB, which is not a whole number of pages: ONNX Runtime aligns from 1 MiB up.
WIDTH = 600
PAGE = 4096
# A GELU in the parts that a fusion puts together.
GRAPH = f"""
<ir_version: 8, opset_import: ["" : 18]>
model (float[N, {WIDTH}] x) => (float[N, {WIDTH}] y) {{
    half = Constant <value = float {{0.5}}> ()
    one = Constant <value = float {{1.0}}> ()
    root = Constant <value = float {{1.4142135}}> ()
    product = MatMul (x, first)
    sum = Add (product, bias)
    scaled = Div (sum, root)
    error = Erf (scaled)
    shifted = Add (error, one)
    gated = Mul (sum, shifted)
    gelu = Mul (gated, half)
    y = MatMul (gelu, second)
}}
"""


def model() -> onnx.ModelProto:
    random = np.random.default_rng(5)
    weights = {
        "first": random.normal(scale=0.05, size=(WIDTH, WIDTH)),
        "second": random.normal(scale=0.05, size=(WIDTH, WIDTH)),
        "bias": random.normal(size=1),
    }
    return parse(GRAPH, {name: values.astype(np.float32) for name, values in weights.items()})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    graph = tmp_path / "saved" / "model.onnx"
    save(model(), graph)
    return graph


def test_a_finished_graph_is_fused_its_weights_are_at_pages_and_its_answers_the_same(
    saved: Path, tmp_path: Path
) -> None:
    target = tmp_path / "final" / "model.onnx"
    finalize(saved, target)
    files = sorted(path.name for path in target.parent.iterdir())
    assert files == ["model.onnx", "model.onnx.data"]
    loaded = onnx.load(str(target), load_external_data=False)
    weights = [
        {entry.key: entry.value for entry in tensor.external_data}
        for tensor in loaded.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    ]
    assert len(weights) == 2
    assert {weight["location"] for weight in weights} == {"model.onnx.data"}
    assert [int(weight["offset"]) % PAGE for weight in weights] == [0, 0]
    assert "Erf" not in operators(loaded)
    assert len(loaded.graph.node) < len(model().graph.node)
    x = np.random.default_rng(6).normal(size=(3, WIDTH)).astype(np.float32)
    wanted, answer = (
        open_session(graph, optimized=optimized).run(None, {"x": x})[0]
        for graph, optimized in ((saved, False), (target, True))
    )
    np.testing.assert_allclose(answer, wanted, rtol=1e-4, atol=1e-5)


def test_finishing_twice_writes_identical_bytes(saved: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "model.onnx", tmp_path / "two" / "model.onnx"
    finalize(saved, one)
    finalize(saved, two)
    finalize(saved, two)  # over its own result, as a repeated step does
    for name in ("model.onnx", "model.onnx.data"):
        assert (one.parent / name).read_bytes() == (two.parent / name).read_bytes()


def test_the_error_for_a_graph_that_cannot_be_loaded_names_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(GraphError, match=r"cannot optimise .*broken\.onnx"):
        finalize(broken, tmp_path / "model.onnx")

"""Writing graphs: weights beside them, nothing left to optimise, the same bytes every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from pipeline.graphs.files import GraphError, finalize, save
from storage_init.running.runtime import open_session

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime as ort
    from numpy.typing import NDArray

# A weight of 1.4 MB, which is no whole number of pages: ONNX Runtime aligns from 1 MiB up.
WIDTH = 600
PAGE = 4096


def model() -> onnx.ModelProto:
    """Two large weights, a small bias, and a GELU in the parts that a fusion puts together."""
    random = np.random.default_rng(5)
    weights = {
        "first": random.normal(scale=0.05, size=(WIDTH, WIDTH)),
        "second": random.normal(scale=0.05, size=(WIDTH, WIDTH)),
        "bias": random.normal(size=1),
    }
    parsed = onnx.parser.parse_model(
        f"""
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
    )
    parsed.graph.initializer.extend(
        onnx.numpy_helper.from_array(values.astype(np.float32), name)
        for name, values in weights.items()
    )
    return parsed


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    graph = tmp_path / "saved" / "model.onnx"
    save(model(), graph)
    return graph


def external(graph: Path) -> dict[str, dict[str, str]]:
    """Where each weight outside the graph lies."""
    loaded = onnx.load(str(graph), load_external_data=False)
    return {
        tensor.name: {entry.key: entry.value for entry in tensor.external_data}
        for tensor in loaded.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    }


def run(session: ort.InferenceSession) -> NDArray[np.float32]:
    x = np.random.default_rng(6).normal(size=(3, WIDTH)).astype(np.float32)
    answer: NDArray[np.float32] = session.run(None, {"x": x})[0]
    return answer


def test_large_weights_lie_in_a_file_beside_the_graph_at_pages(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "final" / "model.onnx"
    finalize(saved, target)
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "model.onnx",
        "model.onnx.data",
    ]
    weights = external(target)
    assert len(weights) == 2
    assert {where["location"] for where in weights.values()} == {"model.onnx.data"}
    assert [int(where["offset"]) % PAGE for where in weights.values()] == [0, 0]


def test_a_finished_graph_is_fused_and_answers_the_same_unoptimised(
    saved: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model.onnx"
    finalize(saved, target)
    operators = [
        node.op_type for node in onnx.load(str(target), load_external_data=False).graph.node
    ]
    assert "Erf" not in operators
    assert len(operators) < len(model().graph.node)
    original = open_session(saved, optimized=False)
    finished = open_session(target, optimized=True)
    np.testing.assert_allclose(run(finished), run(original), rtol=1e-4, atol=1e-5)


def test_finishing_twice_writes_identical_bytes(saved: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "model.onnx", tmp_path / "two" / "model.onnx"
    finalize(saved, one)
    finalize(saved, two)
    finalize(saved, two)  # over its own result, as a step that is tried again does
    for name in ("model.onnx", "model.onnx.data"):
        assert (one.parent / name).read_bytes() == (two.parent / name).read_bytes()


def test_saving_over_a_graph_replaces_its_weights(saved: Path) -> None:
    size = saved.with_name("model.onnx.data").stat().st_size
    save(model(), saved)
    assert saved.with_name("model.onnx.data").stat().st_size == size


def test_a_graph_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(GraphError, match=r"cannot optimise .*broken\.onnx"):
        finalize(broken, tmp_path / "model.onnx")

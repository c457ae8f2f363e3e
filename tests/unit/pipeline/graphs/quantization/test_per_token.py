"""Per-token int8: exact integers, a row's answer from that row alone, and near the original."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from pipeline.graphs import files as graphs
from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.quantization.per_token import MIN_COLUMNS, quantize_products
from storage_init.running.runtime import open_session

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DEPTH, COLUMNS = 96, 40


def model(opset: int = 18, body: str = "y = MatMul (x, w)", rank: str = "N, L") -> onnx.ModelProto:
    made = onnx.parser.parse_model(
        f"""
        <ir_version: 8, opset_import: ["" : {opset}]>
        product (float[{rank}, {DEPTH}] x) => (float[{rank}, M] y) {{ {body} }}
        """
    )
    random = np.random.default_rng(1)
    for name, shape in {
        "w": (DEPTH, COLUMNS),
        "wt": (COLUMNS, DEPTH),
        "narrow": (DEPTH, MIN_COLUMNS - 1),
        "b": (COLUMNS,),
    }.items():
        values = random.normal(size=shape).astype(np.float32)
        made.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    for index, node in enumerate(made.graph.node):
        node.name = f"node_{index}"
    return made


def quantized(made: onnx.ModelProto, *exclude: str, bits: int = 7) -> GraphEditor:
    editor = GraphEditor(made)
    quantize_products(editor, exclude, bits)
    editor.finish()
    return editor


def operators(editor: GraphEditor) -> list[str]:
    return [node.op_type for node in editor.model.graph.node]


def run(made: onnx.ModelProto, x: NDArray[np.float32], folder: Path) -> NDArray[np.float32]:
    graphs.save(copy.deepcopy(made), folder / "model.onnx")
    graphs.finalize(folder / "model.onnx", folder / "final" / "model.onnx")
    session = open_session(folder / "final" / "model.onnx")
    answer: NDArray[np.float32] = session.run(None, {"x": x})[0]
    return answer


def rows(*shape: int, seed: int = 2) -> NDArray[np.float32]:
    """Rows of very different sizes, as tokens are."""
    random = np.random.default_rng(seed)
    sizes = random.lognormal(sigma=2, size=(*shape, 1))
    return (random.normal(size=(*shape, DEPTH)) * sizes).astype(np.float32)


def expected(x: NDArray[Any], weights: NDArray[Any], largest: int) -> NDArray[Any]:
    """The same arithmetic in numpy, with integers that cannot overflow."""
    steps = np.abs(weights).max(axis=0) / largest
    scale = np.abs(x).max(axis=-1, keepdims=True) / 127
    left = np.rint(x / scale).astype(np.int64)
    product = left @ np.rint(weights / steps).astype(np.int64)
    return np.asarray(product * scale * steps)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_a_product_is_the_exact_integer_product_scaled_back(opset: int, tmp_path: Path) -> None:
    made = model(opset)
    weights = onnx.numpy_helper.to_array(made.graph.initializer[0])
    x = rows(3, 5)
    answer = run(quantized(made).model, x, tmp_path)
    wanted = expected(x, weights, 64)
    size = np.abs(wanted).max(axis=-1, keepdims=True)
    # A value halfway between two steps may be rounded the other way in FP32.
    np.testing.assert_allclose(answer / size, wanted / size, atol=2e-3)
    assert np.median(np.abs(answer / size - wanted / size)) < 1e-6


def test_the_largest_sums_do_not_saturate_on_this_cpu(tmp_path: Path) -> None:
    """The worst case for 16-bit sums of products: every value at its limit."""
    made = model()
    worst = np.full((DEPTH, COLUMNS), 3, dtype=np.float32)
    made.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(worst, "w"))
    x = np.full((1, 2, DEPTH), 7, dtype=np.float32)
    answer = run(quantized(made).model, x, tmp_path)
    np.testing.assert_allclose(answer, DEPTH * 3 * 7, rtol=1e-5)


def test_a_rows_answer_does_not_depend_on_the_rows_beside_it(tmp_path: Path) -> None:
    made = quantized(model()).model
    x = rows(16, 12)
    together = run(made, x, tmp_path / "a")
    alone = np.concatenate([run(made, x[i : i + 1, :5], tmp_path / "b") for i in range(4)])
    np.testing.assert_allclose(together[:4, :5], alone, rtol=1e-6)


def test_rows_of_zeros_give_zeros(tmp_path: Path) -> None:
    answer = run(quantized(model()).model, np.zeros((1, 2, DEPTH), np.float32), tmp_path)
    np.testing.assert_array_equal(answer, 0)


def test_a_gemm_keeps_its_bias_and_its_transposed_weights(tmp_path: Path) -> None:
    made = model(body="y = Gemm <transB = 1> (x, wt, b)", rank="N")
    x = rows(6)
    wanted = run(made, x, tmp_path / "original")
    editor = quantized(made)
    assert "Gemm" not in operators(editor)
    answer = run(editor.model, x, tmp_path / "quantized")
    scale = np.abs(wanted).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(answer / scale, wanted / scale, atol=0.05)


@pytest.mark.parametrize(
    ("body", "rank"),
    [
        ("y = MatMul (x, narrow)", "N, L"),
        ("y = Gemm <alpha = 0.5> (x, w, b)", "N"),
        ("y = MatMul (w, x)", "40"),
    ],
)
def test_what_is_no_plain_or_no_worthwhile_product_stays(body: str, rank: str) -> None:
    made = model(body=body, rank=rank)
    before = [node.op_type for node in made.graph.node]
    assert operators(quantized(made)) == before


def test_products_of_one_input_share_its_8_bit_form_and_an_excluded_one_stays() -> None:
    body = "p = MatMul (x, w) q = MatMul (x, w) r = MatMul (x, w) s = Add (p, q) y = Add (s, r)"
    names = operators(quantized(model(body=body), "node_2"))
    assert names.count("QuantizeLinear") == 1
    assert (names.count("MatMulIntegerToFloat"), names.count("MatMul")) == (2, 1)

"""Per-token int8 has exact integers, and a row's answer depends on that row alone."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.files import finalize, save
from pipeline.graphs.quantization.per_token import MIN_COLUMNS, quantize_products
from tests.unit.pipeline.encoders import operators, parse, run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DEPTH, COLUMNS = 96, 40
SHAPES = {
    "w": (DEPTH, COLUMNS),
    "wt": (COLUMNS, DEPTH),
    "narrow": (DEPTH, MIN_COLUMNS - 1),
    "b": (COLUMNS,),
}


def model(opset: int = 18, body: str = "y = MatMul (x, w)", rank: str = "N, L") -> onnx.ModelProto:
    random = np.random.default_rng(1)
    weights = {name: random.normal(size=size).astype(np.float32) for name, size in SHAPES.items()}
    return parse(
        f"""
        <ir_version: 8, opset_import: ["" : {opset}]>
        product (float[{rank}, {DEPTH}] x) => (float[{rank}, M] y) {{ {body} }}
        """,
        weights,
    )


def quantized(made: onnx.ModelProto, *exclude: str) -> onnx.ModelProto:
    editor = GraphEditor(made)
    quantize_products(editor, exclude, 7)
    editor.finish()
    return made


def answer(made: onnx.ModelProto, x: NDArray[np.float32], folder: Path) -> NDArray[np.float32]:
    # Saving moves the weights out of the model.
    save(copy.deepcopy(made), folder / "model.onnx")
    finalize(folder / "model.onnx", folder / "final" / "model.onnx")
    return run(folder / "final" / "model.onnx", {"x": x})


def rows(*shape: int) -> NDArray[np.float32]:
    """Rows of very different sizes, as tokens have."""
    random = np.random.default_rng(2)
    sizes = random.lognormal(sigma=2, size=(*shape, 1))
    return (random.normal(size=(*shape, DEPTH)) * sizes).astype(np.float32)


def expected(x: NDArray[Any], weights: NDArray[Any], largest: int) -> NDArray[Any]:
    """The same arithmetic in numpy, with integers that cannot overflow."""
    steps = np.abs(weights).max(axis=0) / largest
    scale = np.abs(x).max(axis=-1, keepdims=True) / 127
    left = np.rint(x / scale).astype(np.int64)
    product = left @ np.rint(weights / steps).astype(np.int64)
    return np.asarray(product * scale * steps)


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
def test_a_product_is_the_exact_integer_product_scaled_back(opset: int, tmp_path: Path) -> None:
    made = model(opset)
    weights = onnx.numpy_helper.to_array(made.graph.initializer[0])
    x = rows(3, 5)
    got = answer(quantized(made), x, tmp_path)
    wanted = expected(x, weights, 64)
    size = np.abs(wanted).max(axis=-1, keepdims=True)
    # FP32 may round a value halfway between two steps the other way.
    np.testing.assert_allclose(got / size, wanted / size, atol=2e-3)
    assert np.median(np.abs(got / size - wanted / size)) < 1e-6


def test_the_largest_sums_do_not_saturate_on_this_cpu(tmp_path: Path) -> None:
    made = model()
    worst = np.full((DEPTH, COLUMNS), 3, dtype=np.float32)
    made.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(worst, "w"))
    x = np.full((1, 2, DEPTH), 7, dtype=np.float32)
    np.testing.assert_allclose(answer(quantized(made), x, tmp_path), DEPTH * 3 * 7, rtol=1e-5)


@pytest.mark.parametrize("opset", [18, 21])
def test_a_rows_answer_does_not_depend_on_the_rows_beside_it(opset: int, tmp_path: Path) -> None:
    made, x = quantized(model(opset)), rows(16, 12)
    together = answer(made, x, tmp_path / "a")
    alone = np.concatenate([answer(made, x[i : i + 1, :5], tmp_path / "b") for i in range(4)])
    np.testing.assert_allclose(together[:4, :5], alone, rtol=1e-6)


def test_a_gemm_keeps_its_bias_and_its_transposed_weights(tmp_path: Path) -> None:
    body, x = "y = Gemm <transB = 1> (x, wt, b)", rows(6)
    wanted = answer(model(body=body, rank="N"), x, tmp_path / "original")
    made = quantized(model(body=body, rank="N"))
    assert "Gemm" not in operators(made)
    scale = np.abs(wanted).max(axis=-1, keepdims=True)
    got = answer(made, x, tmp_path / "quantized")
    np.testing.assert_allclose(got / scale, wanted / scale, atol=0.05)


@pytest.mark.parametrize(
    ("body", "rank"),
    [
        ("y = MatMul (x, narrow)", "N, L"),
        ("y = Gemm <alpha = 0.5> (x, w, b)", "N"),
        ("y = MatMul (w, x)", "40"),
    ],
)
def test_narrow_scaled_and_other_products_are_left_alone(body: str, rank: str) -> None:
    wanted = operators(model(body=body, rank=rank))
    assert operators(quantized(model(body=body, rank=rank))) == wanted


def test_products_of_one_input_share_its_8_bit_form_and_an_excluded_one_stays() -> None:
    body = "p = MatMul (x, w) q = MatMul (x, w) r = MatMul (x, w) s = Add (p, q) y = Add (s, r)"
    names = operators(quantized(model(body=body), "node_2"))
    assert names.count("QuantizeLinear") == 1
    assert (names.count("MatMulIntegerToFloat"), names.count("MatMul")) == (2, 1)

"""Embedding tables in 8 bits are close to the originals; small tables stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.files import save
from pipeline.graphs.quantization.embeddings import quantize_embeddings
from tests.unit.pipeline.encoders import parse, run

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

ROWS, WIDTH, PLACES = 50, 24, 12
LOOKUP = "y = Gather (words, ids)"


def model(body: str) -> onnx.ModelProto:
    random = np.random.default_rng(3)
    tables = {
        "words": random.normal(size=(ROWS, WIDTH)) * random.lognormal(sigma=2, size=(ROWS, 1)),
        "places": random.normal(size=(PLACES, WIDTH)),
        "kinds": random.normal(size=(2, WIDTH)),
        "gamma": random.normal(size=WIDTH),
        "beta": random.normal(size=WIDTH),
    }
    tables["words"][7] = 0
    weights = {name: values.astype(np.float32) for name, values in tables.items()}
    return parse(
        f"""
        <ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
        embeddings (int32[N, L] ids, int32[N, L] types) => (float[N, L, {WIDTH}] y) {{ {body} }}
        """,
        {**weights, "place_ids": np.arange(6, dtype=np.int32)[None] + 2},
    )


def answer(made: onnx.ModelProto, folder: Path) -> NDArray[np.float32]:
    save(made, folder / "model.onnx")
    ids = np.random.default_rng(4).integers(0, ROWS, size=(3, 6)).astype(np.int32)
    ids[0, 0] = 7
    return run(folder / "model.onnx", {"ids": ids, "types": ids % 2})


def quantized(made: onnx.ModelProto, folder: Path) -> NDArray[np.float32]:
    editor = GraphEditor(made)
    assert quantize_embeddings(editor, (), min_rows=ROWS) == 1
    editor.finish()
    return answer(made, folder)


def test_a_plain_lookup_is_at_most_half_a_step_of_its_row_off(tmp_path: Path) -> None:
    wanted = answer(model(LOOKUP), tmp_path / "original")
    step = np.abs(wanted).max(axis=-1, keepdims=True) / 127
    got = quantized(model(LOOKUP), tmp_path / "quantized")
    assert (np.abs(got - wanted) <= step * 0.501).all()


@pytest.mark.parametrize(
    ("body", "exclude", "rows"),
    [
        (LOOKUP, (), ROWS + 1),
        (LOOKUP, ("node_0",), ROWS),
        ("y = Gather <axis = 1> (words, ids)", (), ROWS),
    ],
)
def test_small_tables_excluded_ones_and_other_axes_are_left_alone(
    body: str, exclude: tuple[str, ...], rows: int
) -> None:
    assert quantize_embeddings(GraphEditor(model(body)), exclude, min_rows=rows) == 0

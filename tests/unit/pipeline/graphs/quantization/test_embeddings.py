"""Embedding tables in 8 bits: near the table, whatever rows it has, and only where worthwhile."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from pipeline.graphs import files as graphs
from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.quantization.embeddings import quantize_embeddings
from storage_init.running.runtime import open_session

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROWS, WIDTH, PLACES = 50, 24, 12
FUSED = """
    y, none = com.microsoft.EmbedLayerNormalization <epsilon = 1e-12> (%s)
"""
INPUTS = {
    "words": "ids, , words, places, , gamma, beta",
    "types": "ids, types, words, places, kinds, gamma, beta",
    "ids of places": "ids, types, words, places, kinds, gamma, beta, , place_ids",
}


def model(body: str) -> onnx.ModelProto:
    made = onnx.parser.parse_model(
        f"""
        <ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
        embeddings (int32[N, L] ids, int32[N, L] types) => (float[N, L, {WIDTH}] y) {{ {body} }}
        """
    )
    random = np.random.default_rng(3)
    tables = {
        "words": random.normal(size=(ROWS, WIDTH)) * random.lognormal(sigma=2, size=(ROWS, 1)),
        "places": random.normal(size=(PLACES, WIDTH)),
        "kinds": random.normal(size=(2, WIDTH)),
        "gamma": random.normal(size=WIDTH),
        "beta": random.normal(size=WIDTH),
    }
    tables["words"][7] = 0
    made.graph.initializer.extend(
        onnx.numpy_helper.from_array(values.astype(np.float32), name)
        for name, values in tables.items()
    )
    made.graph.initializer.append(
        onnx.numpy_helper.from_array(np.arange(6, dtype=np.int32)[None] + 2, "place_ids")
    )
    return made


def run(made: onnx.ModelProto, folder: Path) -> NDArray[np.float32]:
    graphs.save(copy.deepcopy(made), folder / "model.onnx")
    ids = np.random.default_rng(4).integers(0, ROWS, size=(3, 6)).astype(np.int32)
    ids[0, 0] = 7
    feeds = {"ids": ids, "types": ids % 2}
    session = open_session(folder / "model.onnx")
    names = {tensor.name for tensor in session.get_inputs()}
    answer: NDArray[np.float32] = session.run(None, {n: feeds[n] for n in names})[0]
    return answer


@pytest.mark.parametrize("form", INPUTS)
def test_fused_embeddings_are_opened_and_answer_nearly_the_same(form: str, tmp_path: Path) -> None:
    made = model(FUSED % INPUTS[form])
    wanted = run(made, tmp_path / "original")
    editor = GraphEditor(made)
    assert quantize_embeddings(editor, (), min_rows=ROWS) == 1
    editor.finish()
    kept = {tensor.name for tensor in made.graph.initializer}
    assert "words" not in kept
    assert {"places", "gamma", "beta"} <= kept
    np.testing.assert_allclose(run(made, tmp_path / "quantized"), wanted, atol=0.05)


def test_a_plain_lookup_is_off_by_half_a_step_of_its_row_at_most(tmp_path: Path) -> None:
    made = model("y = Gather (words, ids)")
    wanted = run(made, tmp_path / "original")
    editor = GraphEditor(made)
    assert quantize_embeddings(editor, (), min_rows=ROWS) == 1
    editor.finish()
    step = np.abs(wanted).max(axis=-1, keepdims=True) / 127
    assert (np.abs(run(made, tmp_path / "quantized") - wanted) <= step * 0.501).all()


def test_small_tables_excluded_ones_and_other_axes_stay() -> None:
    for body, exclude, rows in (
        ("y = Gather (words, ids)", (), ROWS + 1),
        ("y = Gather (words, ids)", ("lookup",), ROWS),
        ("y = Gather <axis = 1> (words, ids)", (), ROWS),
        (FUSED % INPUTS["words"], ("lookup",), ROWS),
    ):
        made = model(body)
        made.graph.node[0].name = "lookup"
        assert quantize_embeddings(GraphEditor(made), exclude, min_rows=rows) == 0

"""torch_export: the graph that optimum's own export gives, with no weight inside the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from optimum.exporters.onnx import main_export

from pipeline.export import exporter as torch_export
from pipeline.workspace.workspace import GRAPH

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SMALL = 1024
TASKS = {
    "classifier": "text-classification",
    "embedder": "feature-extraction",
    "tagger": "token-classification",
    "masked": "fill-mask",
}


def answer(graph: Path) -> NDArray[Any]:
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(1).integers(5, 40, (3, 9))
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    given["token_type_ids"] = np.zeros_like(ids)
    values: NDArray[Any] = session.run(
        None, {node.name: given[node.name] for node in session.get_inputs()}
    )[0]
    return values


@pytest.mark.parametrize("fixture", TASKS)
def test_the_graph_is_optimums_and_its_answers_are_the_same_bits(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, task = request.getfixturevalue(fixture), TASKS[fixture]
    main_export(
        str(source),
        output=tmp_path / "optimum",
        task=task,
        opset=18,
        library_name="transformers",
        do_validation=False,
    )
    monkeypatch.setattr(torch_export, "MIN_BYTES", SMALL)
    torch_export.export(source, tmp_path / "ours", task, 18)
    theirs, ours = (
        onnx.load(str(tmp_path / name / GRAPH), load_external_data=False).graph
        for name in ("optimum", "ours")
    )
    assert [node.op_type for node in ours.node] == [node.op_type for node in theirs.node]
    assert ours.input == theirs.input
    assert ours.output == theirs.output
    assert (answer(tmp_path / "ours" / GRAPH) == answer(tmp_path / "optimum" / GRAPH)).all()
    inside = [t for t in ours.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
    assert max(len(tensor.raw_data) for tensor in inside) < SMALL


def test_an_architecture_that_has_no_such_task_is_refused(embedder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bert doesn't support task object-detection"):
        torch_export.export(embedder, tmp_path, "object-detection", 18)

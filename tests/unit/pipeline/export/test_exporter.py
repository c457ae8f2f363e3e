"""The exported graph is the one of optimum's own export, without a weight inside the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from optimum.exporters.onnx import main_export

from pipeline.export import exporter
from pipeline.workspace.workspace import GRAPH
from tests.unit.pipeline.encoders import operators, run

if TYPE_CHECKING:
    from pathlib import Path

SMALL = 1024
IDS = np.random.default_rng(1).integers(5, 40, (3, 9))
FEEDS = {
    "input_ids": IDS,
    "attention_mask": np.ones_like(IDS),
    "token_type_ids": np.zeros_like(IDS),
}
TASKS = {
    "classifier": "text-classification",
    "embedder": "feature-extraction",
    "tagger": "token-classification",
    "masked": "fill-mask",
}


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
    monkeypatch.setattr(exporter, "MIN_BYTES", SMALL)
    exporter.export(source, tmp_path / "ours", task, 18)
    theirs, ours = (
        onnx.load(str(tmp_path / name / GRAPH), load_external_data=False)
        for name in ("optimum", "ours")
    )
    assert operators(ours) == operators(theirs)
    assert ours.graph.input == theirs.graph.input
    assert ours.graph.output == theirs.graph.output
    answer, wanted = (run(tmp_path / name / GRAPH, FEEDS) for name in ("ours", "optimum"))
    assert (answer == wanted).all()
    tensors = ours.graph.initializer
    inside = [t for t in tensors if t.data_location != onnx.TensorProto.EXTERNAL]
    assert max(len(tensor.raw_data) for tensor in inside) < SMALL


def test_a_task_that_the_architecture_does_not_have_is_refused(
    embedder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="bert doesn't support task object-detection"):
        exporter.export(embedder, tmp_path, "object-detection", 18)

"""A graph's opset rises only where that changes nothing."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from pipeline.graphs.editing import GraphEditor
from tests.unit.pipeline.encoders import parse

BODY = """
    <ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]>
    graph (float[N, 8, 4] x) => (float[N, 8, 4] y) {{ {body} }}
"""
SUM = "y = Add (x, b)"
GROUPS = "y = GroupNormalization <num_groups = 2> (x, s, s)"


@pytest.mark.parametrize(
    ("opset", "body", "raised"),
    [(18, SUM, 23), (22, SUM, 23), (24, SUM, 24), (17, SUM, 17), (18, GROUPS, 18)],
)
def test_the_opset_rises_where_no_operator_changes_its_meaning(
    opset: int, body: str, raised: int
) -> None:
    weights = {"b": np.ones(4, dtype=np.float32), "s": np.ones(2, dtype=np.float32)}
    model = parse(BODY.format(opset=opset, body=body), weights)
    editor = GraphEditor(model)
    editor.raise_opset(23)
    stated = {entry.domain: entry.version for entry in model.opset_import}
    assert stated == {"": raised, "com.microsoft": 1}
    assert editor.opset == raised
    if raised == opset:
        return
    del model.opset_import[1]
    onnx.checker.check_model(model, full_check=True)

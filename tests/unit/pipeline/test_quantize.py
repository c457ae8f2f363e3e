"""quantize: the int8 variant, and what it leaves alone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import onnx

from pipeline.recipe import Int8, Recipe
from pipeline.steps.quantize import quantize

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.workspace import Workspace


def operators(graph: Path) -> list[str]:
    loaded = onnx.load(str(graph), load_external_data=False)
    return [node.op_type for node in loaded.graph.node]


def weight_bytes(quantized: Workspace, variant: str) -> int:
    return quantized.graph(variant).with_name("model.onnx.data").stat().st_size


def test_matrix_products_and_embeddings_are_quantised(quantized: Workspace) -> None:
    names = operators(quantized.graph("int8"))
    assert {"QAttention", "QEmbedLayerNormalization", "DynamicQuantizeMatMul"} <= set(names)
    assert not {"Attention", "EmbedLayerNormalization", "MatMul"} & set(names)
    assert weight_bytes(quantized, "int8") < weight_bytes(quantized, "fp32") / 3


def test_excluded_nodes_stay_as_they_were(quantized: Workspace) -> None:
    before = quantized.graph("int8").read_bytes()
    fused = onnx.load(str(quantized.graph("fp32")), load_external_data=False)
    first = next(node.name for node in fused.graph.node if node.op_type == "Attention")
    try:
        said = quantize(quantized, Recipe(int8=Int8(per_channel=False, exclude=(first,))))
        names = operators(quantized.graph("int8"))
    finally:
        quantize(quantized, Recipe())
    assert said == "dynamic, per tensor"
    assert (names.count("Attention"), names.count("QAttention")) == (1, 1)
    assert quantized.graph("int8").read_bytes() == before, "the same recipe gives the same bytes"


def test_nothing_is_written_when_the_recipe_does_not_ask_for_int8(quantized: Workspace) -> None:
    graph = quantized.graph("int8")
    written = graph.stat().st_mtime_ns
    assert quantize(quantized, Recipe(variants=("fp32",))) == "not in the recipe"
    assert graph.stat().st_mtime_ns == written


def test_the_callers_logging_is_left_as_it_was(quantized: Workspace) -> None:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    try:
        quantize(quantized, Recipe())
        assert root.level == logging.INFO
    finally:
        root.setLevel(before)

"""The disk space that a preparation needs, checked before hours of work begin."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from pipeline.workspace.workspace import SHARED_GRAPHS
from storage_init.base.space import check_free

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace

# Shares of the model's weights in FP32, as measured by the benchmarks of the pipeline's steps.
INT8 = 0.26
PACKED = {"fp32": 0.7, "int8": 0.6}
# Bytes for the tokenizer, the self-test and the file system itself.
MARGIN = 16 << 20


def needed(weights: int, recipe: Recipe) -> int:
    """The most bytes that the steps after the snapshot need at any time.

    ``weights`` are the bytes of the model's weights in FP32.
    """
    # The exported and the fused graph, and each variant's graph twice: the version has a copy.
    # fp32's graph is made in any case.
    return int(weights * 2 * (1 + _share(recipe, {"fp32", *recipe.variants}))) + MARGIN


def published(weights: int, recipe: Recipe) -> int:
    """Bytes of the version that stays, if every variant passes; arguments as :func:`needed`."""
    return int(weights * _share(recipe, {SHARED_GRAPHS.get(v, v) for v in recipe.variants}))


def _share(recipe: Recipe, graphs: set[str]) -> float:
    """The size of the variants' graphs, as a share of the weights in FP32."""
    fp32 = 1 + PACKED["fp32"] * recipe.fp32.packed
    int8 = INT8 * (1 + PACKED["int8"] * recipe.int8.packed)
    return fp32 * ("fp32" in graphs) + int8 * ("int8" in graphs)


def fp32_bytes(folder: Path) -> int:
    """The bytes of a model's weights in FP32, whatever their stored type."""
    from safetensors import safe_open

    parameters = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "np") as tensors:
            names = tensors.keys()
            parameters += sum(prod(tensors.get_slice(name).get_shape()) for name in names)
    if parameters:
        return 4 * parameters
    return sum(path.stat().st_size for path in folder.rglob("*.onnx*"))


def check(workspace: Workspace, recipe: Recipe) -> None:
    """Refuse a preparation that the disk cannot hold.

    Raises:
        NoSpaceError: names the place, the bytes needed and the bytes free.
    """
    wanted = needed(fp32_bytes(workspace.source), recipe)
    check_free(wanted, workspace.root, "the preparation")

"""How much disk a preparation takes, and whether it is there: before hours of work, not after."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from pipeline.workspace.workspace import SHARED_GRAPHS
from storage_init.base.space import check_free

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace

# Of the model's weights in FP32; measured by benchmarks of the pipeline's steps.
EXPORTED = 1.0
FUSED = 1.0
# The exporter's and the optimizer's own files, at the time when the most is there.
SCRATCH = 1.0
FP32 = 1.0
INT8 = 0.26
PACKED = {"fp32": 0.7, "int8": 0.6}
# Tokenizer, self-test, file systems' own needs.
MARGIN = 16 << 20


def needed(weights: int, recipe: Recipe) -> int:
    """Bytes that the steps after the snapshot take at most, with what they leave for each other.

    Args:
        weights: bytes of the model's weights in FP32.
        recipe: says which variants are made, and which of them are packed.
    """
    # fp32's graph is made in any case; what passes is copied into the version.
    variants = _share(recipe, {"fp32", *recipe.variants})
    searched = (
        _share(recipe, {"int8"} & {*recipe.variants}) if recipe.int8.search.max_excluded else 0
    )
    return int(weights * (EXPORTED + FUSED + variants + max(SCRATCH, searched, variants))) + MARGIN


def published(weights: int, recipe: Recipe) -> int:
    """Bytes of the version that stays, if every variant passes; arguments as :func:`needed`."""
    return int(weights * _share(recipe, {SHARED_GRAPHS.get(v, v) for v in recipe.variants}))


def _share(recipe: Recipe, graphs: set[str]) -> float:
    """The size of the variants' graphs, as a share of the weights in FP32."""
    fp32 = FP32 * (1 + PACKED["fp32"] * recipe.fp32.packed)
    int8 = INT8 * (1 + PACKED["int8"] * recipe.int8.packed)
    return fp32 * ("fp32" in graphs) + int8 * ("int8" in graphs)


def fp32_bytes(folder: Path) -> int:
    """The weights of a model's folder as FP32, whatever they are stored as."""
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
    """Refuse to begin what the disk cannot hold.

    Raises:
        NoSpaceError: with what is needed, what is free and where.
    """
    wanted = needed(fp32_bytes(workspace.source), recipe)
    check_free(wanted, workspace.root, "the preparation")

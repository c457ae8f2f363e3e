"""The disk space that a preparation needs, checked before hours of work begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from pipeline.workspace.workspace import SHARED_GRAPHS
from storage_init.base.space import check_free
from storage_init.format.package import TOKENIZER_FILE
from storage_init.raw.sentence_config import read_json
from storage_init.raw.weights import bytes_in_fp32, read_header, read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace

# Shares of the model's weights in FP32, as measured by the benchmarks of the pipeline's steps.
INT8 = 0.26
PACKED = {"fp32": 0.7, "int8": 0.6}
# Types of half the bytes of FP32.
HALVES = ("bfloat16", "float16")
# Room to spare before a preparation starts: other processes write, too.
MARGIN = 16 << 20
# Bytes of graphs without weights, answers, the self-test and the report; and of those that stay.
SMALL_FILES, SMALL_FILES_KEPT = 300_000, 120_000
# Copies of the tokenizer beside the source's: the export's and the version's.
TOKENIZERS = 2


@dataclass(frozen=True)
class Sizes:
    """Bytes of a source: of its files, of its weights in FP32, and of its tokenizer."""

    files: int
    fp32: int
    tokenizer: int

    @classmethod
    def read(cls, folder: Path, needed: Mapping[str, int]) -> Sizes:
        """Read them from the headers of weights if these are there, else from what it states.

        Args:
            folder: holds the needed files, perhaps without the weights.
            needed: the bytes of each needed file.
        """
        stored = {path: size for path, size in needed.items() if path.endswith(".safetensors")}
        graphs = sum(size for path, size in needed.items() if ".onnx" in path)
        if all((folder / path).exists() for path in stored):
            headers = [read_header(folder / path).values() for path in stored]
            fp32 = sum(map(bytes_in_fp32, headers))
        else:
            config = read_json(folder / "config.json", _Config) or _Config()
            halved = (config.dtype or config.torch_dtype or "") in HALVES
            fp32 = sum(stored.values()) * (2 if halved else 1)
        return cls(sum(needed.values()), fp32 + graphs, needed.get(TOKENIZER_FILE, 0))

    def peak(self, recipe: Recipe) -> int:
        """Estimate the most bytes below the store at any time, the source included."""
        weights = self.files + needed(self.fp32, recipe)
        return weights + TOKENIZERS * self.tokenizer + SMALL_FILES

    def kept(self, recipe: Recipe) -> int:
        """Estimate the bytes of the version that stays, if every variant passes."""
        return published(self.fp32, recipe) + self.tokenizer + SMALL_FILES_KEPT


class _Config(msgspec.Struct):
    """What ``config.json`` states of the weights' type; transformers 4 calls it otherwise."""

    dtype: str | None = None
    torch_dtype: str | None = None


def needed(weights: int, recipe: Recipe) -> int:
    """The most bytes that the steps after the snapshot need at any time.

    ``weights`` are the bytes of the model's weights in FP32.
    """
    # The exported and the fused graph, and each variant's graph twice: the version has a copy.
    # fp32's graph is made in any case.
    return int(weights * 2 * (1 + _share(recipe, {"fp32", *recipe.variants})))


def published(weights: int, recipe: Recipe) -> int:
    """The bytes of every variant's graph in the version; arguments as :func:`needed`."""
    return int(weights * _share(recipe, {SHARED_GRAPHS.get(v, v) for v in recipe.variants}))


def _share(recipe: Recipe, graphs: set[str]) -> float:
    """The size of the variants' graphs, as a share of the weights in FP32."""
    fp32 = 1 + PACKED["fp32"] * recipe.fp32.packed
    int8 = INT8 * (1 + PACKED["int8"] * recipe.int8.packed)
    return fp32 * ("fp32" in graphs) + int8 * ("int8" in graphs)


def fp32_bytes(folder: Path) -> int:
    """The bytes of a model's weights in FP32, whatever their stored type."""
    if tensors := read_tensors(folder):
        return bytes_in_fp32(tensors.values())
    return sum(path.stat().st_size for path in folder.rglob("*.onnx*"))


def check(workspace: Workspace, recipe: Recipe) -> None:
    """Refuse a preparation that the disk cannot hold.

    Raises:
        NoSpaceError: names the place, the bytes needed and the bytes free.
    """
    wanted = needed(fp32_bytes(workspace.source), recipe) + MARGIN
    # Not the work folder itself, which is gone when the message is read.
    check_free(wanted, workspace.root.parent, "the preparation")

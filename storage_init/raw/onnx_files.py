"""A folder that nobody prepared: which of its graphs is the model.

Names alone decide here; what a graph holds is for whoever loads it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from storage_init.base.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

# Where optimum, transformers.js and most repositories on the Hub put it.
USUAL_PLACES = ("model.onnx", "onnx/model.onnx", "model_optimized.onnx")
# How optimum, transformers.js and sentence-transformers name what is no longer full precision.
REDUCED = re.compile(r"(?i)(^|[._-])(\w*quantized|q?u?int[48]|q[48]\w*|bnb4|b?fp?16|float16|o4)\b")


def graphs(folder: Path) -> list[Path]:
    """The graph in the first usual place that has one, else every graph at the top of a folder."""
    usual = next((folder / place for place in USUAL_PLACES if (folder / place).is_file()), None)
    return sorted(folder.glob("*.onnx")) if usual is None else [usual]


def ready_graph(folder: Path) -> Path | None:
    """The full-precision graph of a raw repository; None if it holds PyTorch weights instead.

    Raises:
        SourceError: neither, only graphs whose names say that they are quantised, or several.
    """
    if any(folder.glob("*.safetensors")):
        return None
    found = graphs(folder)
    full = [graph for graph in found if not REDUCED.search(graph.stem.replace("_", "-"))]
    if len(full) == 1:
        return full[0]
    if full:
        raise SourceError(f"{folder} holds several graphs ({_names(full)}): keep one model.onnx")
    only = f", only {_names(found)}" if found else ""
    raise SourceError(
        f"{folder} holds neither safetensors weights nor an ONNX graph at full precision "
        f"({' or '.join(USUAL_PLACES[:2])}){only}"
    )


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)

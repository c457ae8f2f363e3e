"""Choose the graph of an unprepared folder that is the model, by file names alone.

The code that loads a graph checks its content.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from storage_init.base.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

# Where optimum, transformers.js and most repositories on the Hub put the graph.
USUAL_PLACES = ("model.onnx", "onnx/model.onnx", "model_optimized.onnx")
# Names that optimum, transformers.js and sentence-transformers give to reduced precision.
REDUCED = re.compile(r"(?i)(^|[._-])(\w*quantized|q?u?int[48]|q[48]\w*|bnb4|b?fp?16|float16|o4)\b")


def graphs(folder: Path) -> list[Path]:
    """Return the graph in the first usual place that has one, else all in the top folder."""
    usual = next((folder / place for place in USUAL_PLACES if (folder / place).is_file()), None)
    return sorted(folder.glob("*.onnx")) if usual is None else [usual]


def ready_graph(folder: Path) -> Path | None:
    """Return a raw repository's full-precision graph, or None if it has PyTorch weights instead.

    Raises:
        SourceError: the folder has neither, only graphs with names of reduced precision, or
            several full-precision graphs.
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

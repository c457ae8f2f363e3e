"""The nodes of a published graph, and those that took the place of many."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import onnx

if TYPE_CHECKING:
    from pathlib import Path

# Operators of ONNX itself that fusions make of many others.
_FUSED = ("LayerNormalization", "SimplifiedLayerNormalization", "Gelu", "RotaryEmbedding")


class Counts(msgspec.Struct, frozen=True):
    """All nodes of a graph, and those of each fused operator."""

    nodes: int
    fused: dict[str, int]

    def __str__(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in self.fused.items()) or "nothing"


def count(folder: Path) -> Counts:
    """Count the nodes of the graph in ``folder``."""
    nodes = onnx.load(str(folder / "model.onnx"), load_external_data=False).graph.node
    fused = Counter(
        node.op_type for node in nodes if node.domain.startswith("com.") or node.op_type in _FUSED
    )
    return Counts(len(nodes), dict(sorted(fused.items())))

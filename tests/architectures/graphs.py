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
# Nodes of the embedders as transformers 4.57.6 and optimum-onnx 0.1.0 exported them, before the
# same fusions: of models with these settings, counted in the same way.
BEFORE = {
    "MiniLM": 56,
    "BERT": 28,
    "DistilBERT": 32,
    "RoBERTa": 46,
    "XLM-RoBERTa": 46,
    "CamemBERT": 46,
    "ALBERT": 86,
    "ELECTRA": 30,
    "MPNet": 114,
    "DeBERTa": 242,
    "DeBERTa-v2": 343,
    "DeBERTa-v3": 326,
    "ModernBERT": 324,
    "ConvBERT": 172,
    "RoFormer": 144,
    "SqueezeBERT": 72,
    "MobileBERT": 145,
    "Megatron-BERT": 62,
    "Data2VecText": 46,
    "I-BERT": 41,
    "Nyströmformer": 90,
    "RemBERT": 30,
    "BigBird": 35,
    "ERNIE": 28,
    "RoBERTa-PreLayerNorm": 47,
    "XLM-RoBERTa-XL": 46,
}


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

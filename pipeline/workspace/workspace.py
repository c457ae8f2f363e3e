"""Where the steps of one preparation leave their results for each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from storage_init.format.package import Source
from storage_init.raw.hf_config import ModelFacts, read_facts
from storage_init.raw.onnx_files import ready_graph

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe

GRAPH = "model.onnx"
# The same graph with weights that are packed for one CPU.
PACKED_GRAPH = "packed.onnx"
# Variants that run another's graph.
SHARED_GRAPHS = {"bf16-openvino": "fp32"}


@dataclass(frozen=True)
class Workspace:
    """Folders below ``root``, which lies in the store's ``.staging``.

    source/            the model as it came, with its resolved Source in source.json
    exported/          the graph in ONNX and its tokenizer
    fused/             the same graph with the encoder fusions
    variants/<name>/   what will be published, graph and weights; some variants share them
    selftest.npz       the self-test texts with the original's outputs
    evaluation.json    the variants that are published, as the package will state them
    evidence.json      what was measured of every variant, see pipeline.workspace.evidence
    """

    root: Path

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def source_record(self) -> Path:
        return self.root / "source.json"

    @property
    def exported(self) -> Path:
        return self.root / "exported"

    @property
    def fused(self) -> Path:
        return self.root / "fused"

    @property
    def variants(self) -> Path:
        return self.root / "variants"

    @property
    def selftest(self) -> Path:
        return self.root / "selftest.npz"

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation.json"

    @property
    def evidence(self) -> Path:
        return self.root / "evidence.json"

    @property
    def ready_graph(self) -> Path | None:
        """The graph of a source that is ONNX already; None if it holds PyTorch weights.

        Raises:
            SourceError: it holds neither.
        """
        return ready_graph(self.source)

    @property
    def states_pooling(self) -> bool:
        """Whether an embedder says how it is pooled, as sentence-transformers do."""
        return (self.source / "modules.json").exists()

    def read_source(self) -> Source:
        """Where the model came from, as snapshot recorded it."""
        return msgspec.json.decode(self.source_record.read_bytes(), type=Source)

    def facts(self, recipe: Recipe) -> ModelFacts:
        """What the fetched model says of itself, as the recipe overrules it."""
        return read_facts(self.source, recipe.task, recipe.max_length)

    def graph(self, variant: str) -> Path:
        return self.variants / SHARED_GRAPHS.get(variant, variant) / GRAPH

    def packed_graph(self, variant: str) -> Path:
        return self.variants / variant / PACKED_GRAPH

    def relative(self, graph: Path) -> str:
        """A variant's graph as the package will name it."""
        return graph.relative_to(self.variants).as_posix()

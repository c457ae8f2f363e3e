"""Where the steps of one preparation leave their results for each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.hf_config import ModelFacts, read_facts

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe import Recipe

GRAPH = "model.onnx"


@dataclass(frozen=True)
class Workspace:
    """Folders below ``root``, which lies in the store's ``.staging``.

    source/            the model as it came, with its resolved Source in source.json
    exported/          the ONNX export and its tokenizer
    fused/             the same graph with the encoder fusions
    variants/<name>/   what will be published, graph and weights
    selftest.npz       the self-test texts with the original's outputs
    evaluation.json    how close each variant came
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

    def facts(self, recipe: Recipe) -> ModelFacts:
        """What the fetched model says of itself, as the recipe overrules it."""
        return read_facts(self.source, recipe.task, recipe.max_length)

    def graph(self, variant: str) -> Path:
        return self.variants / variant / GRAPH

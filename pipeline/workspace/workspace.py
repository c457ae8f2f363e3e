"""The folders where the steps of one preparation leave their results for each other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from storage_init.format.package import TOKENIZER_FILE, Source
from storage_init.raw.hf_config import ModelFacts, read_facts
from storage_init.raw.onnx_files import ready_graph
from storage_init.running.tokenizer import Tokenizer, cut_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.recipe.recipe import Example, Recipe

GRAPH = "model.onnx"
# The same graph with weights that are packed for one CPU.
PACKED_GRAPH = "packed.onnx"
# Variants that run another variant's graph.
SHARED_GRAPHS = {"bf16-openvino": "fp32"}


class Workspace:
    """Paths below ``root``, which lies in the store's ``.staging``.

    source/            the model as fetched
    source.json        its resolved Source
    exported/          the graph in ONNX and its tokenizer
    fused/             the same graph with the encoder fusions
    variants/<name>/   what will be published, graph and weights; some variants share them
    answers/           the original model's answers
    selftest.npz       the self-test texts with the baseline
    evaluation.json    the variants to publish, as the package will describe them
    evidence.json      what was measured of every variant, see pipeline.workspace.evidence
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = root / "source"
        self.source_record = root / "source.json"
        self.exported = root / "exported"
        self.fused = root / "fused"
        self.variants = root / "variants"
        self.answers = root / "answers"
        self.selftest = root / "selftest.npz"
        self.evaluation = root / "evaluation.json"
        self.evidence = root / "evidence.json"

    @property
    def onnx_source(self) -> Path | None:
        """The graph of a source that is ONNX already; None if it holds PyTorch weights.

        Raises:
            SourceError: it holds neither.
        """
        return ready_graph(self.source)

    @property
    def states_pooling(self) -> bool:
        """Whether an embedder states its pooling, as a sentence-transformers folder does."""
        return (self.source / "modules.json").exists()

    def read_source(self) -> Source:
        """The Source that snapshot recorded."""
        return msgspec.json.decode(self.source_record.read_bytes(), type=Source)

    def facts(self, recipe: Recipe) -> ModelFacts:
        """The facts that the model's files state; the recipe overrides them."""
        return read_facts(self.source, recipe.task, recipe.max_length)

    def open_tokenizer(self, facts: ModelFacts) -> Tokenizer:
        """Open the exported tokenizer as a predictor will."""
        path, cut = self.exported / TOKENIZER_FILE, cut_of(facts.task)
        return Tokenizer(path, facts.limits.max_length, facts.pad_token_id, cut)

    def graph(self, variant: str) -> Path:
        """The graph that a variant runs."""
        return self.variants / SHARED_GRAPHS.get(variant, variant) / GRAPH

    def packed_graph(self, variant: str) -> Path:
        """The same graph with packed weights; not every variant has one."""
        return self.variants / variant / PACKED_GRAPH

    def relative(self, graph: Path) -> str:
        """A variant's graph as a path inside the package."""
        return graph.relative_to(self.variants).as_posix()

    def computed_once(
        self,
        facts: ModelFacts,
        texts: Sequence[Example],
        compute: Callable[[], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Return the original model's answers to texts, computed by the first call for them.

        The export computes them while PyTorch is loaded anyway, so the evaluation needs no PyTorch.
        """
        key = hashlib.sha256(msgspec.json.encode([facts, texts])).hexdigest()
        path = self.answers / f"{key}.npy"
        if path.exists():
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        answers = compute()
        path.parent.mkdir(exist_ok=True)
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            np.save(file, answers, allow_pickle=False)
        draft.replace(path)
        return answers

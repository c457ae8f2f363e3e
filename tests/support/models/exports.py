"""Repositories of ONNX graphs, exported from tiny models."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from storage_init.format.tasks import TokenTask
from storage_init.raw.hf_config import read_facts
from tests.support.models.cache import digest, made_once

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
BY_TEXT = {0: "batch_size"}
BY_TOKEN = BY_TEXT | {1: "sequence_length"}
# The folder that says how an embedder pools.
POOLING = "1_Pooling"


def exported(
    model: Path, *, opset: int = 18, library: str = "transformers", attention: str = "eager"
) -> Path:
    """Return a repository of the model's ONNX graph, exported by PyTorch once; read only.

    Args:
        model: a folder of ``tests.support.models.models``.
        opset: the graph's operator set.
        library: with "sentence_transformers" an embedder's graph pools by itself.
        attention: transformers' implementation; "sdpa" is what it takes unless it is told.
    """
    inputs = digest(model), opset, library, attention
    return made_once(
        "export", inputs, lambda folder: _export(model, folder, opset, library, attention)
    )


def export_onnx(model: Path, folder: Path, **settings: Any) -> Path:
    """Copy what :func:`exported` returns to ``folder``, which is created and may be changed."""
    return shutil.copytree(exported(model, **settings), folder, dirs_exist_ok=True)


def _export(model: Path, folder: Path, opset: int, library: str, attention: str) -> None:
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    for path in model.glob("*.json"):
        shutil.copyfile(path, folder / path.name)
    if (model / POOLING).is_dir():
        shutil.copytree(model / POOLING, folder / POOLING)
    trace = _pooling if library == "sentence_transformers" else _plain
    traced, inputs, outputs = trace(model, attention)
    varying = dict.fromkeys((*inputs, *outputs), BY_TOKEN)
    if not isinstance(read_facts(model).task, TokenTask):
        varying |= dict.fromkeys(("logits", "sentence_embedding"), BY_TEXT)
    torch.onnx.export(
        traced.eval(),
        tuple(torch.ones((2, 8), dtype=torch.int64) for _ in inputs),
        str(folder / "model.onnx"),
        input_names=[*inputs],
        output_names=[*outputs],
        dynamic_axes={name: varying[name] for name in (*inputs, *outputs)},
        opset_version=opset,
        dynamo=False,
    )


def _plain(model: Path, attention: str) -> tuple[Any, Sequence[str], Sequence[str]]:
    """The model with tensors for arguments and results, and the names of both."""
    from pipeline.original.heads import head_of

    head = head_of(model, read_facts(model).task)
    whole = head.load(model, attn_implementation=attention)
    forward = whole.forward

    def answer(*tensors: Any) -> tuple[Any, ...]:
        found = forward(**dict(zip(INPUTS, tensors, strict=True)))
        return tuple(found[name] for name in head.outputs)

    whole.forward = answer
    return whole, INPUTS, head.outputs


def _pooling(model: Path, attention: str) -> tuple[Any, Sequence[str], Sequence[str]]:
    """The same of an embedder in sentence-transformers, which pools by itself."""
    from sentence_transformers import SentenceTransformer

    chosen = {"attn_implementation": attention}
    whole: Any = SentenceTransformer(str(model), device="cpu", model_kwargs=chosen)
    forward, inputs = whole.forward, INPUTS[:2]
    outputs = ("token_embeddings", "sentence_embedding")

    def answer(*tensors: Any) -> tuple[Any, ...]:
        found = forward(dict(zip(inputs, tensors, strict=True)))
        return tuple(found[name] for name in outputs)

    whole.forward = answer
    return whole, inputs, outputs


def move_weights_out(folder: Path) -> Path:
    """Move the graph to ``onnx/`` and its weights into a file beside it; return the graph."""
    import onnx

    model = onnx.load(str(folder / "model.onnx"))
    (folder / "model.onnx").unlink()
    graph = folder / "onnx" / "model.onnx"
    graph.parent.mkdir()
    onnx.save_model(
        model, str(graph), save_as_external_data=True, location="model.onnx_data", size_threshold=0
    )
    return graph

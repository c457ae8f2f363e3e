"""Repositories of ONNX graphs, exported from tiny models."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from storage_init.format.package import TokenTask
from storage_init.raw.hf_config import read_facts
from tests.support.models.cache import digest, made_once

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("input_ids", "attention_mask", "token_type_ids")
# Folders that say how an embedder pools.
SENTENCE_FILES = ("1_Pooling",)


def exported(model: Path, *, opset: int = 18, library: str = "transformers") -> Path:
    """Return a repository of the model's ONNX graph, exported by PyTorch once; read only.

    Args:
        model: a folder of ``tests.support.models.models``.
        opset: the graph's operator set.
        library: with "sentence_transformers" an embedder's graph pools by itself.
    """
    inputs = digest(model), opset, library
    return made_once("export", inputs, lambda folder: _export(model, folder, opset, library))


def export_onnx(model: Path, folder: Path, **settings: Any) -> Path:
    """Copy what :func:`exported` returns to ``folder``, which is created and may be changed."""
    return shutil.copytree(exported(model, **settings), folder, dirs_exist_ok=True)


def _export(model: Path, folder: Path, opset: int, library: str) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    from pipeline.original.heads import head_of

    folder.mkdir(parents=True, exist_ok=True)
    for path in model.glob("*.json"):
        shutil.copyfile(path, folder / path.name)
    for name in SENTENCE_FILES:
        if (model / name).is_dir():
            shutil.copytree(model / name, folder / name)
    pooled = library == "sentence_transformers"
    if pooled:
        whole: Any = SentenceTransformer(str(model), device="cpu")
        names, outputs = NAMES[:2], ("token_embeddings", "sentence_embedding")
        forward = whole.forward
        whole.forward = lambda *tensors: tuple(
            forward(dict(zip(names, tensors, strict=True)))[name] for name in outputs
        )
    else:
        head = head_of(model, read_facts(model).task)
        whole, names, outputs = head.load(model, attn_implementation="eager"), NAMES, head.outputs
        forward = whole.forward
        whole.forward = lambda *tensors: tuple(
            forward(**dict(zip(names, tensors, strict=True)))[name] for name in outputs
        )
    sizes = {0: "batch_size", 1: "sequence_length"}
    varying = dict.fromkeys((*names, *outputs), sizes)
    if not isinstance(read_facts(model).task, TokenTask):
        varying["logits"] = {0: "batch_size"}
    varying["sentence_embedding"] = {0: "batch_size"}
    torch.onnx.export(
        whole.eval(),
        tuple(torch.ones((2, 8), dtype=torch.int64) for _ in names),
        str(folder / "model.onnx"),
        input_names=[*names],
        output_names=[*outputs],
        dynamic_axes={name: varying[name] for name in (*names, *outputs)},
        opset_version=opset,
        dynamo=False,
    )


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

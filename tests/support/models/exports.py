"""Repositories of ONNX graphs, exported from tiny models."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from storage_init.format.tasks import name_of
from storage_init.raw.hf_config import read_facts
from tests.support.models.cache import digest, made_once

if TYPE_CHECKING:
    from pathlib import Path

# These files make a model an embedder and say how it pools.
SENTENCE_FILES = ("modules.json", "sentence_bert_config.json", "1_Pooling")


def exported(model: Path, *, opset: int = 18, library: str = "transformers") -> Path:
    """Return a repository of the model's ONNX graph, exported with optimum once; read only.

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
    from optimum.exporters.onnx import main_export

    embedder = (model / "modules.json").exists()
    main_export(
        str(model),
        output=folder,
        task="feature-extraction" if embedder else name_of(read_facts(model).task),
        opset=opset,
        library_name=library,
        do_validation=False,
    )
    for name in SENTENCE_FILES:
        if (model / name).is_dir():
            shutil.copytree(model / name, folder / name)
        elif (model / name).exists():
            shutil.copyfile(model / name, folder / name)


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

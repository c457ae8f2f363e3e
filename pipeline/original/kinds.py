"""Refuses the kinds of models that cannot be prepared here, and says which kind it is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage_init.base.errors import SourceError
from storage_init.format.package import PACKAGE_FILE
from storage_init.raw.sentence_config import MODULES_FILE, SETTINGS_FILE, read_json

if TYPE_CHECKING:
    from collections.abc import Collection

SETFIT_FILES = ("config_setfit.json", "model_head.pkl")
_SPARSE = "a sparse encoder, as SPLADE is"
_MULTI_VECTOR = "a multi-vector model, as ColBERT is"
# Keys: model_type of config_sentence_transformers.json, or the class of a module.
_KINDS = {
    "SparseEncoder": _SPARSE,
    "SpladePooling": _SPARSE,
    "SparseAutoEncoder": _SPARSE,
    "SparseStaticEmbedding": _SPARSE,
    "MultiVectorEncoder": _MULTI_VECTOR,
    "MultiVectorMask": _MULTI_VECTOR,
    "ColBERT": _MULTI_VECTOR,
    "HF_ColBERT": _MULTI_VECTOR,
    "LogitScore": "a reranker that reads its score from the next token's logits",
}
# PyLate is a library of ColBERT models; the names of its modules begin so.
_PYLATE = "pylate."
# Where transformers lists its model types.
TABLES = ("auto_mappings.py", "configuration_auto.py")
# If these are traced, the graph does not run, or works for one length alone.
UNTRACEABLE = ("fnet", "funnel", "longformer")
# transformers computes the attention of these on a GPU alone.
ON_GPUS = ("mra",)


def check_kind(folder: Path, config: dict[str, Any], names: Collection[str]) -> None:
    """Refuse a source of a kind that is not supported.

    Args:
        folder: the source's files but its weights.
        config: the content of its ``config.json``.
        names: the paths of all its files.

    Raises:
        SourceError: names the kind.
    """
    if PACKAGE_FILE in names:
        raise SourceError(f"{folder} is a prepared model already ({PACKAGE_FILE}): serve it as is")
    if found := next((name for name in SETFIT_FILES if name in names), None):
        raise SourceError(
            f"{folder} is a SetFit model ({found}): its head is a pickle, which is refused. "
            "Train its head as a transformers classifier, or serve its embedder by itself"
        )
    for file, name in _classes(folder, config):
        kind = _MULTI_VECTOR if name.startswith(_PYLATE) else _KINDS.get(name.rpartition(".")[2])
        if kind:
            raise SourceError(f"{folder}/{file} states {name}: {kind}, which is not supported")
    if (kind := config.get("model_type")) in UNTRACEABLE:
        raise SourceError(
            f"{kind} cannot be exported to ONNX: PyTorch makes no graph of it that runs"
        )
    if kind in ON_GPUS or (kind == "yoso" and config.get("use_expectation") is False):
        raise SourceError(
            f"{kind} answers on a GPU alone: transformers computes its attention in a CUDA kernel"
        )


def check_type(folder: Path, kind: str) -> None:
    """Refuse a model type that transformers does not have.

    It reads transformers' table as text, because importing it takes seconds. The export checks the
    type once more, with the library.

    Raises:
        SourceError: names the type.
    """
    try:
        found = distribution("transformers")
    except PackageNotFoundError:  # the export says what it needs
        return
    tables = [Path(str(found.locate_file(f"transformers/models/auto/{name}"))) for name in TABLES]
    known = "".join(path.read_text("utf-8") for path in tables if path.is_file())
    if not kind:
        raise SourceError(f"{folder}/config.json states no model_type: take it from its authors")
    if known and f'"{kind}"' not in known:
        raise SourceError(
            f"{folder}/config.json states the model_type {kind}, which transformers "
            f"{found.version} does not know, and code that comes with a model is not run"
        )


def _classes(folder: Path, config: dict[str, Any]) -> list[tuple[str, str]]:
    """The classes that the files name for the model and its modules, each with its file."""
    settings = read_json(folder / SETTINGS_FILE, dict[str, Any]) or {}
    modules = read_json(folder / MODULES_FILE, list[dict[str, Any]]) or []
    found = [(SETTINGS_FILE, str(settings.get("model_type", "")))]
    found += [(MODULES_FILE, str(module.get("type", ""))) for module in modules]
    return found + [("config.json", str(name)) for name in config.get("architectures") or []]

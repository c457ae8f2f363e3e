"""Which files of a model repository are needed; what can run code when read is not among them."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Literal

from storage_init.base.errors import SourceError
from storage_init.base.variables import ALLOW_PICKLES
from storage_init.format.package import DIGEST_FILE, PACKAGE_FILE, SIGNATURE_FILE
from storage_init.format.reading import read_package
from storage_init.raw.onnx_files import USUAL_PLACES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

# What to take of a repository that has both: where nothing can export, its own graph is of use.
Weights = Literal["safetensors", "onnx"]

DESCRIPTIONS = ("*.json", "*.txt", "*.model", "README.md")
# A repository keeps other frameworks' copies of the weights in folders; a sentence-transformers
# module has a numbered one.
MODULE_FOLDER = "[0-9]_*/"
# The first module is the model.
LATER_MODULE = "[1-9]_*/*"
SAFETENSORS = ("*.safetensors",)
GRAPHS = ("*.onnx", "*.onnx_data*", "*.onnx.data*")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
# Pickles too, but of a training run and not of the model.
NO_WEIGHTS = ("training_args*", "optimizer*", "scheduler*", "rng_state*")


def descriptions(paths: Collection[str]) -> list[str]:
    """What says which files a prepared model has and who vouches for it; empty for a raw one."""
    found = [path for path in (PACKAGE_FILE, DIGEST_FILE) if path in paths]
    return [*found, SIGNATURE_FILE] if found and SIGNATURE_FILE in paths else found


def needed(
    paths: Collection[str], folder: Path, where: str, weights: Weights = "safetensors"
) -> list[str]:
    """The needed files among ``paths``; ``folder`` holds those that :func:`descriptions` named.

    What a prepared model lacks is left to verification, which names everything at once.

    Raises:
        PackageError: a prepared model's description cannot be read.
        SourceError: a raw repository has no weights, or only pickled ones.
    """
    if not descriptions(paths):
        return select(paths, where, weights)
    every = set(paths)
    return [path for path in listed(folder) if path in every]


def listed(folder: Path) -> list[str]:
    """The files of a prepared model, from the description in ``folder``; its signature if signed.

    Whatever else lies beside them (a hub's ``.gitattributes``, a model card) is none of it.
    """
    package, _ = read_package(folder)
    signature = [SIGNATURE_FILE] if (folder / SIGNATURE_FILE).is_file() else []
    return [PACKAGE_FILE, DIGEST_FILE, *signature, *(entry.path for entry in package.files)]


def is_substitute(paths: Collection[str], chosen: Iterable[str]) -> bool:
    """Whether a graph was chosen of a raw repository that has safetensors, too."""
    if descriptions(paths):
        return False
    return bool(_of_model(sorted(paths))) and not _of_model(list(chosen))


def select(paths: Iterable[str], where: str, weights: Weights = "safetensors") -> list[str]:
    """The needed files among a raw repository's ``paths``.

    Safetensors weights, else ONNX graphs, else pickled weights where
    ``WARMSTART_ALLOW_PICKLES=true``, with what describes them and the safetensors of a
    sentence-transformers folder's modules. Nothing hidden is needed. With
    ``weights="onnx"`` a graph in a usual place, and its weights alone, goes before safetensors.

    Raises:
        SourceError: no weights, or only pickled ones.
    """
    every = sorted(path for path in paths if not any(s.startswith(".") for s in path.split("/")))
    chosen, modules = _of_model(every), _of_modules(every)
    if chosen and weights == "onnx":
        chosen = _ready_graph(every) or chosen
    chosen = chosen or [p for p in every if any(fnmatch(p, g) for g in GRAPHS)]
    if not chosen and ALLOW_PICKLES.read():
        chosen = [p for p in _matching(every, PICKLES) if not _matching([p], NO_WEIGHTS)]
    if not chosen:
        pickled = [p for p in every if any(fnmatch(p, pattern) for pattern in PICKLES)]
        why = f"only pickled weights ({pickled[0]}), which are refused" if pickled else "no weights"
        raise SourceError(f"{where} has {why}; needed are *.safetensors or *.onnx")
    return sorted({*chosen, *modules, *_matching(every, DESCRIPTIONS)})


def _ready_graph(paths: list[str]) -> list[str]:
    """The graph in the first usual place that has one, with its weights; empty if none has."""
    graph = next((place for place in USUAL_PLACES if place in paths), None)
    if graph is None:
        return []
    data = (f"{graph}_data", f"{graph}.data")
    return [graph, *(path for path in paths if path.startswith(data))]


def _of_model(paths: list[str]) -> list[str]:
    return [p for p in _matching(paths, SAFETENSORS) if not fnmatch(p, LATER_MODULE)]


def _of_modules(paths: list[str]) -> list[str]:
    return [p for p in _matching(paths, SAFETENSORS) if fnmatch(p, LATER_MODULE)]


def _matching(paths: list[str], patterns: tuple[str, ...]) -> list[str]:
    return [
        path
        for path in paths
        if ("/" not in path or fnmatch(path, f"{MODULE_FOLDER}*"))
        and any(fnmatch(path.rpartition("/")[2], pattern) for pattern in patterns)
    ]

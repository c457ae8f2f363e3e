"""Choose the needed files of a model repository; never those that can run code when read."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Literal

from storage_init.base.errors import SourceError
from storage_init.base.variables import ALLOW_PICKLES
from storage_init.format.package import DIGEST_FILE, PACKAGE_FILE, SIGNATURE_FILE, SUMS_FILE
from storage_init.format.reading import claims, read_package
from storage_init.raw.onnx_files import USUAL_PLACES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

# Which weights to prefer if a repository has both: an image without PyTorch needs the graph.
Weights = Literal["safetensors", "onnx"]

DESCRIPTIONS = ("*.json", "*.txt", "*.model", "README.md")
# Folders hold other frameworks' copies of the weights; a sentence-transformers module has a
# numbered folder.
MODULE_FOLDER = "[0-9]_*/"
# Module 0 is the model itself.
LATER_MODULE = "[1-9]_*/*"
SAFETENSORS = ("*.safetensors",)
GRAPHS = ("*.onnx", "*.onnx_data*", "*.onnx.data*")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
# PEFT's settings of an adapter, which changes the weights of another model.
ADAPTER_FILE = "adapter_config.json"
SHOWN_FOLDERS = 3
# Pickles of a training run, not of the model.
NO_WEIGHTS = ("training_args*", "optimizer*", "scheduler*", "rng_state*")


def descriptions(paths: Collection[str]) -> list[str]:
    """Return the paths of a prepared model's description and signature; none for a raw model."""
    if not claims(paths):
        return []
    return [p for p in (PACKAGE_FILE, DIGEST_FILE, SUMS_FILE, SIGNATURE_FILE) if p in paths]


def needed(
    paths: Collection[str], folder: Path, where: str, weights: Weights = "safetensors"
) -> list[str]:
    """Return the needed files among ``paths``; ``folder`` holds the :func:`descriptions`.

    A prepared model's missing files are no error here: verification names all of them at once.

    Raises:
        PackageError: a prepared model's description cannot be read.
        SourceError: a raw repository has no weights, or only pickled weights.
    """
    if not descriptions(paths):
        return select(paths, where, weights)
    package, _ = read_package(folder)
    return [path for path in package.members if path in set(paths)]


def is_substitute(paths: Collection[str], chosen: Iterable[str]) -> bool:
    """Return whether a graph was chosen though the raw repository has safetensors."""
    if descriptions(paths):
        return False
    return bool(_of_model(sorted(paths))) and not _of_model(list(chosen))


def select(paths: Iterable[str], where: str, weights: Weights = "safetensors") -> list[str]:
    """Return the needed files among a raw repository's ``paths``; hidden files never count.

    These are safetensors weights, else ONNX graphs, else pickled weights if
    ``WARMSTART_ALLOW_PICKLES=true``; the files that describe them; and the safetensors of
    sentence-transformers modules. With ``weights="onnx"``, a graph in a usual place comes before
    safetensors.

    Raises:
        SourceError: there are no weights, or only pickled weights.
    """
    every = sorted(path for path in paths if not any(s.startswith(".") for s in path.split("/")))
    if ADAPTER_FILE in every:
        raise SourceError(
            f"{where} holds a PEFT adapter ({ADAPTER_FILE}), not a whole model: merge it into its "
            "base model (merge_and_unload), save that with its tokenizer, and prepare the result"
        )
    chosen, modules = _of_model(every), _of_modules(every)
    if chosen and weights == "onnx":
        chosen = _ready_graph(every) or chosen
    chosen = chosen or [p for p in every if any(fnmatch(p, g) for g in GRAPHS)]
    if not chosen and ALLOW_PICKLES.read():
        chosen = [p for p in _matching(every, PICKLES) if not _matching([p], NO_WEIGHTS)]
    if not chosen:
        raise SourceError(_no_weights(every, where))
    return sorted({*chosen, *modules, *_matching(every, DESCRIPTIONS)})


def _no_weights(paths: list[str], where: str) -> str:
    """Say that a repository has no weights that count, and where some are that do not."""
    wanted = "needed are *.safetensors or *.onnx"
    pickled = [path for path in paths if any(fnmatch(path, pattern) for pattern in PICKLES)]
    below = [path for path in paths if fnmatch(path, f"*/{SAFETENSORS[0]}")]
    below = [path for path in below if not fnmatch(path, LATER_MODULE)]
    if below and not _matching(paths, PICKLES):
        folders = list(dict.fromkeys(path.rpartition("/")[0] for path in below))
        shown = ", ".join(folders[:SHOWN_FOLDERS]) + (", …" if len(folders) > SHOWN_FOLDERS else "")
        load = "download it and " if where.startswith("hf://") else ""
        return f"{where} has no weights itself, but in {shown}: {load}name the folder of one model"
    if pickled:
        return f"{where} has only pickled weights ({pickled[0]}), which are refused; {wanted}"
    return f"{where} has no weights; {wanted}"


def is_weights(path: str) -> bool:
    """Return whether a path is one of weights or a graph, by its name."""
    name = path.rpartition("/")[2]
    return any(fnmatch(name, pattern) for pattern in (*SAFETENSORS, *GRAPHS, *PICKLES))


def _ready_graph(paths: list[str]) -> list[str]:
    """Return the graph in the first usual place that has one, with its weights."""
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

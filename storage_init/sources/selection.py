"""Which files of a model repository are needed; what can run code when read is not among them."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

from storage_init.errors import SourceError
from storage_init.package import PACKAGE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

DESCRIPTIONS = ("*.json", "*.txt", "*.model", "README.md")
# A repository keeps other frameworks' copies of the weights in folders; a sentence-transformers
# module has a numbered one.
MODULE_FOLDER = "[0-9]_*/"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


def select(paths: Iterable[str], where: str) -> list[str]:
    """The needed files among a repository's ``paths``.

    All of a prepared model; safetensors weights, else ONNX graphs, with what describes them,
    of any other repository.

    Raises:
        SourceError: no weights, or only pickled ones.
    """
    every = sorted(paths)
    if PACKAGE_FILE in every:
        return every
    weights = _matching(every, ("*.safetensors",))
    weights = weights or [p for p in every if fnmatch(p, "*.onnx") or fnmatch(p, "*.onnx_data")]
    if not weights:
        pickled = [p for p in every if any(fnmatch(p, pattern) for pattern in PICKLES)]
        why = f"only pickled weights ({pickled[0]}), which are refused" if pickled else "no weights"
        raise SourceError(f"{where} has {why}; needed are *.safetensors or *.onnx")
    return sorted({*weights, *_matching(every, DESCRIPTIONS)})


def _matching(paths: list[str], patterns: tuple[str, ...]) -> list[str]:
    return [
        path
        for path in paths
        if ("/" not in path or fnmatch(path, f"{MODULE_FOLDER}*"))
        and any(fnmatch(path.rpartition("/")[2], pattern) for pattern in patterns)
    ]

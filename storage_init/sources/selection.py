"""Which files of a model repository are needed; what can run code when read is not among them."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

from storage_init.errors import SourceError
from storage_init.package import DIGEST_FILE, PACKAGE_FILE, read_package

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DESCRIPTIONS = ("*.json", "*.txt", "*.model", "README.md")
# A repository keeps other frameworks' copies of the weights in folders; a sentence-transformers
# module has a numbered one.
MODULE_FOLDER = "[0-9]_*/"
GRAPHS = ("*.onnx", "*.onnx_data*", "*.onnx.data*")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


def listed(folder: Path) -> list[str]:
    """The files of a prepared model, from the description in ``folder``.

    Whatever else lies beside them (a hub's ``.gitattributes``, a model card) is none of it.
    """
    package, _ = read_package(folder)
    return [PACKAGE_FILE, DIGEST_FILE, *(entry.path for entry in package.files)]


def select(paths: Iterable[str], where: str) -> list[str]:
    """The needed files among a raw repository's ``paths``.

    Safetensors weights, else ONNX graphs, with what describes them.

    Raises:
        SourceError: no weights, or only pickled ones.
    """
    every = sorted(paths)
    weights = _matching(every, ("*.safetensors",))
    weights = weights or [p for p in every if any(fnmatch(p, g) for g in GRAPHS)]
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

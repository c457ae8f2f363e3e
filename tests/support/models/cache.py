"""Test models, exports and prepared packages, each made once for all workers and all runs.

They live below ``.cache/tests``, which is safe to delete at any time. A generation is a folder
named by a digest of all that determines its content: the code that makes it, the libraries it
uses, and the CPU's features. Only the newest generations are kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base.cpus import cpu_features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".cache" / "tests"
CODE = (
    *("pipeline/**/*.py", "storage_init/**/*.py"),
    *(f"tests/support/models/{name}.py" for name in ("models", "exports", "prepare")),
)
LIBRARIES = (
    *("torch", "transformers", "sentence-transformers", "onnx"),
    *(
        "onnxruntime",
        "onnxruntime-ep-openvino",
        "tokenizers",
        "safetensors",
        "numpy",
        "model-signing",
    ),
)
KEPT_GENERATIONS = 3


def made_once(kind: str, inputs: object, make: Callable[[Path], object]) -> Path:
    """Return a read-only folder that ``make`` fills if no process has filled it before.

    A folder that something changed since is made again.

    Args:
        kind: a word for the folder's name.
        inputs: what determines the content besides the code, as its ``repr`` tells it.
        make: fills the folder, which does not exist yet.
    """
    name = f"{kind}-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]}"
    folder, record = _generation() / name, _generation() / f"{name}.json"
    with _locked(_generation() / f"{name}.lock"):
        known = json.loads(record.read_text()) if record.exists() else None
        if known is None or known != digest(folder):
            shutil.rmtree(folder, ignore_errors=True)
            record.unlink(missing_ok=True)
            make(folder)
            record.write_text(json.dumps(digest(folder)))
    return folder


def digest(folder: Path) -> str:
    """The digest of a folder's links, and of its files' names and bytes."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        content = b""
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).digest()
        total.update(repr((str(path.relative_to(folder)), content)).encode())
    return total.hexdigest()


@cache
def _generation() -> Path:
    code = [path for pattern in CODE for path in sorted(ROOT.glob(pattern))]
    made_by = [(str(path.relative_to(ROOT)), path.read_bytes()) for path in code]
    tools = [(library, _version(library)) for library in LIBRARIES]
    key = (made_by, tools, sys.version_info[:2], sorted(cpu_features()))
    generation = FOLDER / hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _locked(FOLDER / ".lock"):
        generation.mkdir(exist_ok=True)
        os.utime(generation)
        others = [path for path in FOLDER.iterdir() if path.is_dir()]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for old in others[KEPT_GENERATIONS:]:
            shutil.rmtree(old, ignore_errors=True)
    return generation


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock against all other processes; it ends with the process at the latest."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""Byte code before the first measurement: without it every start looks several times slower."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
PROJECT = ("predictor", "storage_init", "pipeline", "benchmarks")
# What every start imports; if these have byte code, so has what they import.
WITNESSES = ("kserve", "onnxruntime", "tokenizers", "predictor", "benchmarks")
# PyTorch's own tests are partly written for a later Python.
SKIPPED = r"torch/testing/_internal|/tests?/"


class NotCompiledError(RuntimeError):
    """Byte code could not be written."""


def ensure_compiled() -> None:
    """Compile the installed packages and the project; quick when that was done before.

    Raises:
        NotCompiledError: names what has no byte code afterwards.
    """
    folders = [sysconfig.get_path("purelib"), *(str(ROOT / name) for name in PROJECT)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    # Files in a syntax that this Python does not know make it fail; they matter to nobody.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j0", "-x", SKIPPED, *folders],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if missing := without_byte_code(WITNESSES):
        raise NotCompiledError(
            f"{', '.join(missing)} could not be byte-compiled, so no start can be measured: "
            f"make {folders[0]} writable or compile it with python -m compileall"
        )


def without_byte_code(modules: Sequence[str]) -> list[str]:
    """Those of these modules that Python would compile when it imports them."""
    return [name for name in modules if not _has_byte_code(name)]


def _has_byte_code(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    origin = spec.origin if spec else None
    return origin is not None and Path(importlib.util.cache_from_source(origin)).exists()

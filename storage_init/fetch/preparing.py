"""Prepare a raw model with the tools that this image has, and publish it in the store.

``python -m pipeline run`` does the work in a process of its own: this module never imports the
pipeline, and the memory that preparing takes is free again when the process ends.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init import sources
from storage_init.base import variables
from storage_init.base.errors import SourceError, WarmstartError
from storage_init.base.logs import DONE, ERROR, RUNNING, event, timed
from storage_init.base.uris import shown
from storage_init.format.package import TOKENIZER_FILE
from storage_init.raw.hf_config import read_facts
from storage_init.raw.onnx_files import ready_graph

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storage_init.format.package import Source
    from storage_init.sources.transfer.fetching import Admit
    from storage_init.sources.transfer.selection import Weights
    from storage_init.store.layout import Store

TOOLS = ("pipeline", "jinja2", "onnx", "onnxruntime", "sympy", "tokenizers")
TORCH_TOOLS = ("torch", "transformers", "sentence_transformers")
# Variables that the pipeline's process gets: the system's, the libraries' and our own settings.
PASSED = re.compile(
    r"PATH|HOME|USER|LANG|LANGUAGE|TZ|TMPDIR|VIRTUAL_ENV|XDG_CACHE_HOME|HF_HOME|CUDA_VISIBLE_DEVICES"
    r"|(LC|PYTHON|LD|OMP|KMP|MKL|OPENBLAS|ORT|OPENVINO|MALLOC)_?[A-Z0-9_]*|WARMSTART_LOG_LEVEL|"
    + "|".join(variable.name for variable in variables.ALL)
)
TAIL_LINES = 5
STOP_SECONDS = 10

log = logging.getLogger(__name__)


class PreparationError(WarmstartError):
    """A raw model could not be prepared; the message comes from the step that failed."""


def usable_weights() -> Weights:
    """Return which weights this image can prepare if a raw repository has both kinds."""
    return "onnx" if _missing(TORCH_TOOLS) else "safetensors"


def fetch(source: Source, folder: Path, admit: Admit) -> Weights:
    """Fetch what this image can prepare; return "onnx" if a graph took the place of safetensors."""
    if not sources.fetch(source, folder, admit, usable_weights()):
        return "safetensors"
    why = f"exporting its safetensors needs {_missing(TORCH_TOOLS)}"
    event(log, "taking the repository's own ONNX graph", uri=shown(source.uri), why=why)
    return "onnx"


def can_prepare(folder: Path) -> str | None:
    """Return None if this image can prepare the raw model in ``folder``, else the reason."""
    try:
        graph = ready_graph(folder)
        read_facts(folder)
    except SourceError as error:
        return str(error)
    if graph and not (folder / TOKENIZER_FILE).is_file():
        return f"{folder} has no fast tokenizer ({TOKENIZER_FILE})"
    if missing := _missing(TOOLS):
        return f"preparing it needs {missing}: install warmstart[storage-init]"
    if graph is None and (missing := _missing(TORCH_TOOLS)):
        return (
            f"its PyTorch weights need {missing}: use the warmstart/pipeline image, or prepare "
            "the model once with `python -m pipeline run`"
        )
    return None


def prepare(
    source: Source, folder: Path, name: str, store: Store, weights: Weights = "safetensors"
) -> Path:
    """Prepare a raw model and publish it as ``name``; returns the folder of its version.

    Args:
        source: the model's URI and revision; with the default recipe they make the version's key.
        folder: the model's files at that revision.
        name: the model's name in the store.
        store: the store to publish in.
        weights: "onnx" if ``folder`` has an ONNX graph instead of safetensors; the version's key
            then includes it.

    Raises:
        SourceError: this image cannot prepare the model; the message says which image can.
        PreparationError: a step failed; nothing is published.
    """
    if why := can_prepare(folder):
        raise SourceError(f"{shown(source.uri)} is not a prepared model, and {why}")
    with timed(log, "prepared", uri=shown(source.uri), name=name) as fields:
        flags = [f"--source={shown(source.uri)}", f"--name={name}", f"--store={store.root}"]
        flags += [f"--weights={weights}"] if weights != "safetensors" else []
        version = _run([*flags, "--fetched", source.revision, str(folder)])
        fields["version"] = version.name
    return version


def _missing(tools: Iterable[str]) -> str:
    return ", ".join(tool for tool in tools if find_spec(tool) is None)


def _run(flags: list[str]) -> Path:
    """Run the command, log its progress and return the path in its last line of output."""
    with (
        ThreadPoolExecutor(1) as reader,
        subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
        ) as process,
    ):
        # Read both streams at once: a full pipe would block the process.
        printed = reader.submit(process.stdout.read)  # type: ignore[union-attr]
        try:
            said = _follow(process.stderr)  # type: ignore[arg-type]
        except BaseException:
            _stop(process)
            raise
    if process.returncode:
        raise PreparationError(_failure(said, process.returncode))
    return Path(printed.result().splitlines()[-1])


def _environment() -> dict[str, str]:
    """Return the variables of the process, without the secrets of this one.

    The process parses what strangers wrote, and it fetches nothing.
    """
    passed = {name: value for name, value in os.environ.items() if PASSED.fullmatch(name)}
    # The marks of progress are not ASCII and must not depend on the locale.
    return passed | {"PYTHONIOENCODING": "utf-8"}


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupt the process so that it cleans up; kill it if it does not end in time."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _follow(lines: Iterable[str]) -> list[str]:
    """Log progress lines as they come; return the last few other lines."""
    others: list[str] = []
    for line in lines:
        if line.startswith((RUNNING, DONE)):
            event(log, line[1:].strip())
        elif line.strip():
            others = [*others[1 - TAIL_LINES :], line.strip()]
    return others


def _failure(said: list[str], status: int) -> str:
    for line in reversed(said):
        if line.startswith(ERROR):
            return line.removeprefix(ERROR)
    if status < 0:
        # The kernel kills a container that is out of memory with SIGKILL.
        how = f"was killed by signal {-status}" + (", out of memory?" if status == -9 else "")
        return f"preparing the model {how}: give the container more memory or prepare it elsewhere"
    return f"preparing the model ended with status {status}: {' | '.join(said)}"

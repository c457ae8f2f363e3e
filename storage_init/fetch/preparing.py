"""From a raw repository to a prepared model of the store, with what this image has.

The work is the pipeline's own, ``python -m pipeline package``, in a process of its own: nothing
here imports it, and what it needs of memory is gone when it ends.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init import sources
from storage_init.base.errors import SourceError, WarmstartError
from storage_init.base.logs import event, timed
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

# The marks by which a step's lines and the last error are found in what the pipeline writes.
RUNNING, DONE, FAILED = "▸", "✓", "✗"
ERROR = "error: "

TOOLS = ("pipeline", "jinja2", "onnx", "onnxruntime", "sympy", "tokenizers")
TORCH_TOOLS = ("torch", "transformers", "optimum")
TAIL_LINES = 5
STOP_SECONDS = 10

log = logging.getLogger(__name__)


class PackagingError(WarmstartError):
    """A raw model could not be prepared; the message is the failed step's own."""


def usable_weights() -> Weights:
    """What this image can make use of in a raw repository that has safetensors and ONNX."""
    return "onnx" if _missing(TORCH_TOOLS) else "safetensors"


def bring(source: Source, folder: Path, weights: Weights, admit: Admit | None = None) -> bool:
    """``sources.fetch``, with a line in the log where a graph was taken in place of safetensors."""
    substitute = sources.fetch(source, folder, admit, weights)
    if substitute:
        why = f"exporting its safetensors needs {_missing(TORCH_TOOLS)}"
        event(log, "taking the repository's own ONNX graph", uri=shown(source.uri), why=why)
    return substitute


def can_package(folder: Path) -> str | None:
    """None if this image can prepare the raw model in ``folder``, else why not, in a sentence."""
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


def package(
    source: Source, folder: Path, name: str, store: Store, weights: Weights = "safetensors"
) -> Path:
    """Prepare a raw model and publish it as ``name``; returns the folder of its version.

    Args:
        source: where the model came from, at which revision; with the default recipe that is what
            the version is found by.
        folder: its files at that revision.
        name: what to call it in the store.
        store: where to publish.
        weights: "onnx" where ``folder`` has a graph in the place of safetensors: then that is
            part of what the version is found by.

    Raises:
        SourceError: this image cannot prepare it; the message says which can.
        PackagingError: a step failed; nothing is published.
    """
    if why := can_package(folder):
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
    """Run the command, its progress in our log; the path that it prints last."""
    with (
        ThreadPoolExecutor(1) as reader,
        subprocess.Popen(
            [sys.executable, "-m", "pipeline", "package", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # Whatever the locale: the marks are not ASCII.
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        ) as process,
    ):
        # Both streams at once: a full pipe would stop the process.
        printed = reader.submit(process.stdout.read)  # type: ignore[union-attr]
        try:
            said = _follow(process.stderr)  # type: ignore[arg-type]
        except BaseException:
            _stop(process)
            raise
    if process.returncode:
        raise PackagingError(_failure(said, process.returncode))
    return Path(printed.result().splitlines()[-1])


def _stop(process: subprocess.Popen[str]) -> None:
    """End it as Ctrl-C would, on which it cleans up after itself; by force if it does not."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _follow(lines: Iterable[str]) -> list[str]:
    """Log the steps' own lines as they come; the last of the others is what a failure left."""
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
        # The kernel's way to say that a container has no memory left is a SIGKILL.
        how = f"was killed by signal {-status}" + (", out of memory?" if status == -9 else "")
        return f"preparing the model {how}: give the container more memory or prepare it elsewhere"
    return f"preparing the model ended with status {status}: {' | '.join(said)}"

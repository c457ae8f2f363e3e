"""KFP's local runner on the pipeline's graph, a process a step, with its habits mended."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from kfp import local

from pipeline.kubeflow import graph

if TYPE_CHECKING:
    from collections.abc import Iterator


def run_graph(source: str, store: Path, recipe: str, artifacts: Path) -> dict[str, Path]:
    """Prepare a model as ``m`` in ``store`` by the components of the pipeline's graph.

    Returns the files of the artifacts below ``artifacts``, such as ``finish/summary``;
    they are there even if a component failed.
    """
    with _mended(), patch.object(graph, "POD_RETRIES", 0), suppress(RuntimeError):
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(artifacts))
        graph.build()(source=source, name="m", recipe=recipe, store=str(store))
    return {f"{path.parent.name}/{path.name}": path for path in artifacts.glob("*/*/*")}


@contextmanager
def _mended() -> Iterator[None]:
    """Mend habits of KFP 2.17's local runner.

    It puts ``sys.executable`` for every "python3" in a command, its arguments included, which
    breaks paths that contain the word: meanwhile that is "python3" itself. And it warns of every
    image whose name does not contain "python", and of resources, which only a cluster has.
    """
    executable, path = sys.executable, os.environ["PATH"]
    sys.executable = "python3"
    os.environ["PATH"] = f"{Path(executable).parent}{os.pathsep}{path}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.filterwarnings("ignore", r"Task '\w+': settings", UserWarning)
            yield
    finally:
        sys.executable, os.environ["PATH"] = executable, path

"""Running the pipeline here: KFP's local runner, a folder for the volume."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pipeline.possible import check_required
from pipeline.stages import look_up
from storage_init import signing, sources
from storage_init.errors import WarmstartError
from storage_init.packaging import DONE, FAILED, RUNNING
from storage_init.store import STAGING, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.recipe import Recipe


class PipelineError(WarmstartError):
    """A step failed; the message is the step's own."""


def run(source: str, name: str, store: Store, recipe: Recipe, progress: TextIO) -> Path:
    """Prepare a model and return the folder of its version; a hit if that was done before.

    Raises:
        WarmstartError: with what was wrong; nothing is published.
    """
    resolved = sources.resolve(source)
    if hit := look_up(resolved, name, store, recipe, progress):
        return hit
    signing.check_sign_key()
    check_required(recipe)
    _run_on_kfp(source, name, store, recipe, progress)
    published = store.find(name, recipe.key(resolved))
    if published is None:
        raise PipelineError(f"{source} changed while it was being prepared: run it again")
    return published


def _run_on_kfp(source: str, name: str, store: Store, recipe: Recipe, progress: TextIO) -> None:
    # Imported here because a hit needs none of it, and KFP takes half a second.
    from kfp import local

    from pipeline.pipeline import build

    workspace = store.root / STAGING / f"prepare-{uuid.uuid4().hex[:12]}"
    console = _Console(progress)
    with tempfile.TemporaryDirectory(prefix="warmstart-") as root, _kfp_as_it_should_be():
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=root)
        try:
            with contextlib.redirect_stdout(console):
                # A second try would fail for the same reason, and somebody is waiting.
                build(network_retries=0)(
                    source=source,
                    name=name,
                    recipe=recipe.to_json(),
                    store=str(store.root),
                    workspace=str(workspace),
                )
        except RuntimeError as error:
            raise PipelineError(console.failure or f"{error}\n{console.transcript}") from error
        finally:
            shutil.rmtree(workspace, ignore_errors=True)


@contextlib.contextmanager
def _kfp_as_it_should_be() -> Iterator[None]:
    """Mend two habits of KFP 2.17's local runner.

    It puts ``sys.executable`` for every "python3" in a command, arguments included, which breaks
    paths and names that contain the word: for the time of a run that is "python3" itself. And it
    warns of every image whose name does not contain "python".
    """
    executable, path = sys.executable, os.environ["PATH"]
    sys.executable = "python3"
    os.environ["PATH"] = f"{Path(executable).parent}{os.pathsep}{path}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        sys.executable, os.environ["PATH"] = executable, path


class _Console(io.TextIOBase):
    """Passes the steps' own lines on and keeps everything else for when a step fails."""

    def __init__(self, progress: TextIO) -> None:
        self._progress = progress
        self._pending = ""
        self._lines: list[str] = []
        self.failure = ""

    def write(self, text: str) -> int:
        *lines, self._pending = (self._pending + text).split("\n")
        for line in map(str.strip, lines):
            self._lines.append(line)
            if line.startswith(FAILED):
                self.failure = line.removeprefix(FAILED).strip()
            elif line.startswith((RUNNING, DONE)):
                print(line, file=self._progress, flush=True)
        return len(text)

    @property
    def transcript(self) -> str:
        """The last lines of KFP's and the component's output."""
        return "\n".join(self._lines[-40:])

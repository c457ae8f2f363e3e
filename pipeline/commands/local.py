"""Running the pipeline here: KFP's local runner, a folder for the volume."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pipeline.commands.console import Console
from pipeline.commands.display import Bars, Display, Plain
from pipeline.preparation.runner import look_up
from pipeline.preparation.work_folder import work_folder
from pipeline.recipe.requirements import check_required
from pipeline.workspace.workspace import Workspace
from storage_init import sources
from storage_init.base.errors import WarmstartError
from storage_init.format import signing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.preparation.progress import Finished
    from pipeline.recipe.recipe import Recipe
    from storage_init.format.package import Source
    from storage_init.store.layout import Store


class PipelineError(WarmstartError):
    """A step failed; the message is the step's own."""


@dataclass(frozen=True)
class Prepared:
    """The folder of a version and, if it was made just now, what each step had to say."""

    folder: Path
    steps: list[Finished] = field(default_factory=list)


def run(
    source: str, name: str, store: Store, recipe: Recipe, progress: TextIO, *, force: bool = False
) -> Prepared:
    """Prepare a model; a hit if that was done before, unless ``force`` asks for it anew.

    A run that is interrupted, however that may be, leaves what it has done; the next one of the
    same model and recipe goes on from there.

    Raises:
        WarmstartError: with what was wrong; nothing is published.
    """
    resolved = sources.resolve(source)
    hit = look_up(resolved, name, store, recipe, progress)
    if hit and not force:
        return Prepared(hit)
    signing.check_sign_key()
    check_required(recipe)
    key = recipe.key(resolved)
    with work_folder(store, name, key, afresh=force) as workspace:
        display = _display(progress, resolved, recipe, workspace)
        request: dict[str, str | bool] = {
            "source": source,
            "name": name,
            "recipe": recipe.to_json(),
            "force": force,
            "store": str(store.root),
            "workspace": str(workspace),
        }
        steps = _run_on_kfp(request, Console(display), display)
    published = store.find(name, key)
    if published is None:
        raise PipelineError(f"{source} changed while it was being prepared: run it again")
    return Prepared(published, steps)


def _display(progress: TextIO, source: Source, recipe: Recipe, workspace: Path) -> Display:
    if not progress.isatty():
        return Plain(progress)
    return Bars(progress, Workspace(workspace).source, sources.size(source, recipe.weights))


def _run_on_kfp(
    request: dict[str, str | bool], console: Console, display: Display
) -> list[Finished]:
    # Imported here because a hit needs none of it, and KFP takes half a second.
    from kfp import local

    from pipeline.kubeflow.graph import Cluster, build

    with (
        tempfile.TemporaryDirectory(prefix="warmstart-") as root,
        _kfp_as_it_should_be(),
        _stopped_like_ctrl_c(),
    ):
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=root)
        try:
            with contextlib.redirect_stdout(console):
                # A second try would fail for the same reason, and somebody is waiting.
                build(Cluster(network_retries=0))(**request)
        except RuntimeError as error:
            raise PipelineError(console.failure or f"{error}\n{console.transcript}") from error
        finally:
            display.close()
    return console.steps


@contextlib.contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, which a terminal sends to the step's process, too."""
    import psutil

    def stop(*_: object) -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _kfp_as_it_should_be() -> Iterator[None]:
    """Mend habits of KFP 2.17's local runner.

    It puts ``sys.executable`` for every "python3" in a command, arguments included, which breaks
    paths and names that contain the word: for the time of a run that is "python3" itself. And it
    warns of every image whose name does not contain "python", and of resources, which are a
    cluster's.
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

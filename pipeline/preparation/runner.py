"""Runs the steps of a preparation: all of them for ``run``, one at a time for KFP's components.

A step's module is imported only when the step runs, because each needs other libraries: a source
that is ONNX already is prepared without PyTorch.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pipeline.preparation.child import run_in_child, run_step
from pipeline.preparation.process import free_memory
from pipeline.preparation.progress import Lines, label, step
from pipeline.preparation.work_folder import work_folder
from pipeline.recipe.requirements import check_required
from pipeline.workspace import records
from pipeline.workspace.records import STEPS, StepRecord
from pipeline.workspace.workspace import Workspace
from storage_init import sources
from storage_init.base.logs import DONE
from storage_init.base.uris import WORK, shown
from storage_init.base.variables import SIGN_KEY
from storage_init.format import signing
from storage_init.format.codec import check_name
from storage_init.format.package import SIGNATURE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from storage_init.format.package import Source
    from storage_init.store.layout import Store

# The steps that work on the workspace alone.
INNER = STEPS[1:-1]


@dataclass(frozen=True)
class Prepared:
    """The folder of a version, and the steps that this process ran to make it."""

    folder: Path
    steps: list[StepRecord] = field(default_factory=list)


def prepare(  # noqa: PLR0913 - the command's flags
    source: Source,
    name: str,
    store: Store,
    recipe: Recipe,
    display: Lines,
    *,
    fetched: Path | None = None,
    force: bool = False,
    spare_memory: bool = False,
) -> Prepared:
    """Prepare a model and publish it, unless the store has it already.

    An interrupted run, even one that was killed, leaves its finished steps in the store's
    ``.staging``; the next run of the same source, name and recipe continues after them.

    Args:
        source: pinned to a revision.
        name: the model's name in the store.
        store: where to publish.
        recipe: how to prepare the model.
        display: shows the steps.
        fetched: a folder that holds the source's files at that revision already.
        force: prepare the model even if the store has it, and replace that version.
        spare_memory: as in :class:`Preparation`.

    Raises:
        WarmstartError: says what is wrong; nothing is published and nothing is left behind.
    """
    check_name(name)
    if not force and (hit := find_prepared(source, name, store, recipe, display)):
        return Prepared(hit)
    signing.check_sign_key()
    check_required(recipe)
    key = recipe.key(source)
    with work_folder(store, name, key, afresh=force) as root, _temporary_files_in(root / "tmp"):
        preparation = Preparation(Workspace(root), recipe, display, spare_memory=spare_memory)
        preparation.snapshot(source, fetched)
        for inner in INNER:
            preparation.run(inner)
        folder = preparation.publish(store, name, supersede=force)
    return Prepared(folder, preparation.steps)


def find_prepared(
    source: Source, name: str, store: Store, recipe: Recipe, display: Lines
) -> Path | None:
    """Return the version that was prepared from this source and recipe, and report it.

    An unsigned version is not signed now: nobody has checked who wrote it.
    """
    hit = store.find(name, recipe.key(source))
    if hit is not None:
        note = "already prepared from this source and recipe"
        if SIGN_KEY.read() and not (hit / SIGNATURE_FILE).is_file():
            note += f", but unsigned: python -m storage_init.store sign {store.root} {name}"
        display.show(f"{DONE} {note}")
    return hit


@dataclass(frozen=True)
class Preparation:
    """The steps on one workspace.

    ``steps`` are those that this process ran. ``spare_memory``: export PyTorch weights in a process
    of its own, so that PyTorch's memory is gone in the steps after it.

    Raises:
        StepError: a method's step failed; it names the step and says what is wrong.
    """

    workspace: Workspace
    recipe: Recipe
    display: Lines
    steps: list[StepRecord] = field(default_factory=list)
    spare_memory: bool = False

    def snapshot(self, source: Source, fetched: Path | None = None) -> None:
        """Run the first step; files that were fetched at this revision are not fetched again."""
        from pipeline.steps.snapshot import snapshot

        work, recipe = self.workspace, self.recipe
        total = partial(sources.size, source, recipe.weights)
        downloading = self.display.downloading(work.source, total)
        with records.one_at_a_time(work.root), nullcontext() if fetched else downloading:
            known = records.read(work.root, "snapshot", recipe)
            with step("snapshot", self.display, partial(self._named, source=source)) as done:
                if known and work.read_source().revision == source.revision:
                    done.detail = known.detail
                else:
                    done.detail = snapshot(source, work, recipe, fetched)
            self._record(done)

    def run(self, name: str) -> None:
        """Run one of the ``INNER`` steps, unless it is done."""
        work, recipe = self.workspace, self.recipe
        with records.one_at_a_time(work.root) as lock:
            if records.read(work.root, name, recipe):
                self.display.show(f"{DONE} {label(name)} done by the run that was interrupted")
                return
            with step(name, self.display, self._named) as done:
                if name == "export" and self.spare_memory and not work.onnx_source:
                    done.detail, done.peak_bytes = run_in_child(name, work, recipe, lock)
                else:
                    done.detail = run_step(name, work, recipe)
            self._record(done)

    def publish(self, store: Store, name: str, *, supersede: bool = False) -> Path:
        """Run the last step and return the version's folder.

        ``supersede``: replace the version that was prepared from the same source and recipe.
        """
        work = self.workspace
        with records.one_at_a_time(work.root), step("publish", self.display) as done:
            from pipeline.steps.publish import publish

            folder = publish(work, self.recipe, store, name, supersede=supersede)
            revision = work.read_source().revision
            done.detail = f"version {folder.name} of revision {revision[:12]}"
        self.steps.append(done)
        return folder

    def _named(self, said: str, source: Source | None = None) -> str:
        """Name the source in a message instead of its copy, which is gone when it is read."""
        copy = re.compile(rf"{re.escape(str(self.workspace.source))}(/{WORK}/[0-9a-f]+)?")
        if not copy.search(said):
            return said
        uri = shown((source or self.workspace.read_source()).uri)
        return copy.sub(lambda _: uri, said)

    def _record(self, done: StepRecord) -> None:
        records.write(self.workspace.root, done, self.recipe)
        self.steps.append(done)
        free_memory()


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Keep temporary files in an empty folder: tools write graphs, and a pod's /tmp is memory."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before

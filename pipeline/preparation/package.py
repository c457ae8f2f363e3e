"""Preparing a model in this process, without KFP: what an image without PyTorch can run."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.preparation import runner as stages
from pipeline.recipe.requirements import check_required
from pipeline.workspace.workspace import Workspace
from storage_init.format import signing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from pipeline.recipe.recipe import Recipe
    from storage_init.format.package import Source
    from storage_init.store.layout import Store


def package(
    source: Source,
    name: str,
    store: Store,
    recipe: Recipe,
    progress: TextIO,
    fetched: Path | None = None,
) -> Path:
    """Prepare a model and return the folder of its version; a hit if that was done before.

    Args:
        source: resolved, and so pinned to a revision.
        name: what to call it in the store.
        store: where to publish; the work is done in its ``.staging``.
        recipe: how to prepare it.
        progress: gets a line when a step starts and one when it ends.
        fetched: the source's files at that revision, where they are on this machine already.

    Raises:
        WarmstartError: with what was wrong; nothing is published and nothing is left behind.
    """
    if hit := stages.look_up(source, name, store, recipe, progress):
        return hit
    signing.check_sign_key()
    check_required(recipe)
    with store.staging("prepare") as root, _temporary_files_in(root / "tmp"):
        workspace = Workspace(root)
        stages.take(source, workspace, recipe, progress, fetched)
        for inner in stages.INNER:
            stages.work(inner, workspace, recipe, progress)
        return stages.publish(workspace, recipe, store, name, progress)


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """ONNX Runtime's tools write whole graphs there; a pod's /tmp is its memory, if it has one."""
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before

"""A preparation's steps, each reported as it starts and ends, and not done twice.

In a cluster KFP calls them, a process each (``pipeline.kubeflow.components``); here ``package``
calls them one after the other. A step's module is imported only when it is run: each needs other
libraries.
"""

from __future__ import annotations

import gc
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.preparation import downloads
from pipeline.preparation.outcome import Outcome, component, leave
from pipeline.preparation.progress import already, step
from pipeline.recipe import recipe as recipes
from pipeline.workspace import records
from pipeline.workspace.records import STEPS
from pipeline.workspace.workspace import Workspace
from storage_init import sources
from storage_init.fetch.preparing import DONE
from storage_init.format import signing
from storage_init.format.package import SIGNATURE_FILE, check_name
from storage_init.store.layout import Store

if TYPE_CHECKING:
    from typing import TextIO

    from pipeline.recipe.recipe import Recipe
    from storage_init.format.package import Source

# Between the one that knows the source and the one that knows the store.
INNER = STEPS[1:-1]


def look_up(
    source: Source, name: str, store: Store, recipe: Recipe, progress: TextIO
) -> Path | None:
    """The version prepared before from this source and recipe, said to be one, or None.

    It is not signed now if it was not then: whoever put it there, nobody has looked at it.

    Raises:
        PackageError: ``name`` is no name for a model.
    """
    check_name(name)
    hit = store.find(name, recipe.key(source))
    if hit is not None:
        note = "already prepared from this source and recipe"
        if signing.sign_key() and not (hit / SIGNATURE_FILE).is_file():
            note += f", but unsigned: python -m storage_init.store sign {store.root} {name}"
        print(f"{DONE} {note}", file=progress)
    return hit


def snapshot(
    source: str, recipe: str, store: str, name: str, workspace: str, *, force: bool = False
) -> str:
    """The first step with what KFP hands on; the revision fetched, or "published" for a hit.

    Raises:
        StepError: what is wrong with the source, the name or the recipe.
    """
    work = Workspace(Path(workspace))
    with step("snapshot") as outcome:
        check_name(name)
        parsed = recipes.from_json(recipe)
        resolved = sources.resolve(source)
        hit = None if force else Store(Path(store)).find(name, parsed.key(resolved))
        if hit is None:
            outcome.detail = _fetch(resolved, work, parsed)
        else:
            outcome.detail = f"already prepared: {hit}"
    if hit is None:
        records.write(work.root, outcome, parsed)
        return resolved.revision
    leave(work.root, Outcome("already prepared", str(hit)))
    return "published"


def take(
    source: Source,
    workspace: Workspace,
    recipe: Recipe,
    progress: TextIO | None = None,
    fetched: Path | None = None,
) -> None:
    """The first step; arguments are those of ``steps.snapshot``.

    Raises:
        StepError: with the step's own sentence.
    """
    with step("snapshot", progress) as outcome:
        outcome.detail = _fetch(source, workspace, recipe, progress, fetched)
    records.write(workspace.root, outcome, recipe)


def _fetch(
    source: Source,
    workspace: Workspace,
    recipe: Recipe,
    progress: TextIO | None = None,
    fetched: Path | None = None,
) -> str:
    from pipeline.steps.snapshot import snapshot as fetch

    with records.one_at_a_time(workspace.root), downloads.reported(progress):
        done = records.read(workspace.root, "snapshot", recipe)
        if done and workspace.read_source().revision == source.revision:
            return done.detail
        return fetch(source, workspace, recipe, fetched)


def work(name: str, workspace: Workspace, recipe: Recipe, progress: TextIO | None = None) -> None:
    """Run the inner step ``name``, unless it is done.

    Raises:
        StepError: with the step's own sentence.
    """
    with records.one_at_a_time(workspace.root):
        if records.read(workspace.root, name, recipe):
            already(name, progress)
            return
        function = getattr(import_module(f"pipeline.steps.{name}"), name)
        with step(name, progress) as outcome:
            outcome.detail = function(workspace, recipe)
        records.write(workspace.root, outcome, recipe)
    # Graphs refer to themselves: without this, a step's weights would be there in the next.
    gc.collect()


def run_component(name: str, workspace: str, recipe: str) -> None:
    """Run the inner step ``name`` with what KFP hands on: a path and the recipe as JSON."""
    with component(Path(workspace)):
        work(name, Workspace(Path(workspace)), recipes.from_json(recipe))


def publish(
    workspace: Workspace,
    recipe: Recipe,
    store: Store,
    name: str,
    progress: TextIO | None = None,
    *,
    supersede: bool = False,
) -> Path:
    """Make the prepared model a version of the store; returns its folder.

    ``supersede``: in the place of the version that was prepared from the same source and recipe.

    Raises:
        StepError: with the step's own sentence.
    """
    from pipeline.steps.publish import publish as publish_to

    with records.one_at_a_time(workspace.root), step("publish", progress) as outcome:
        folder = publish_to(workspace, recipe, store, name, supersede=supersede)
        revision = workspace.read_source().revision
        outcome.detail = f"version {folder.name} of revision {revision[:12]}"
    return folder

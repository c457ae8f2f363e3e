"""A preparation's steps, each reported as it starts and ends.

In a cluster KFP calls them, a process each (``pipeline.components``); ``pipeline.package`` calls
them one after the other. A step's module is imported only when it is run: each needs other
libraries.
"""

from __future__ import annotations

import gc
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import recipe as recipes
from pipeline.progress import STEPS, component, step
from pipeline.workspace import Workspace
from storage_init import signing
from storage_init.package import SIGNATURE_FILE, check_name
from storage_init.packaging import DONE

if TYPE_CHECKING:
    from typing import TextIO

    from pipeline.recipe import Recipe
    from storage_init.package import Source
    from storage_init.store import Store

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


def work(name: str, workspace: Workspace, recipe: Recipe, progress: TextIO | None = None) -> None:
    """Run the inner step ``name``.

    Raises:
        StepError: with the step's own sentence.
    """
    function = getattr(import_module(f"pipeline.steps.{name}"), name)
    with step(name, progress) as outcome:
        outcome.detail = function(workspace, recipe)
    # Graphs refer to themselves: without this, a step's weights would be there in the next.
    gc.collect()


def run_component(name: str, workspace: str, recipe: str) -> None:
    """Run the inner step ``name`` with what KFP hands on: a path and the recipe as JSON."""
    with component():
        work(name, Workspace(Path(workspace)), recipes.from_json(recipe))


def publish(
    workspace: Workspace, recipe: Recipe, store: Store, name: str, progress: TextIO | None = None
) -> Path:
    """Make the prepared model a version of the store; returns its folder.

    Raises:
        StepError: with the step's own sentence.
    """
    from pipeline.steps.publish import publish as publish_to

    with step("publish", progress) as outcome:
        folder = publish_to(workspace, recipe, store, name)
        revision = workspace.read_source().revision
        outcome.detail = f"version {folder.name} of revision {revision[:12]}"
    return folder

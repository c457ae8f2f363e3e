"""One step a file, each a plain function on a workspace's folders."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from pipeline import recipe as recipes
from pipeline.progress import step
from pipeline.workspace import Workspace


def run(name: str, workspace: str, recipe: str) -> None:
    """Run one of the steps between snapshot and publish and report it.

    Args:
        name: export, optimize, quantize or evaluate; its module is imported only now, because
            each needs other libraries.
        workspace: the preparation's folder.
        recipe: the recipe as JSON.
    """
    function = getattr(import_module(f"pipeline.steps.{name}"), name)
    with step(name) as outcome:
        outcome.detail = function(Workspace(Path(workspace)), recipes.from_json(recipe))

"""Preparing a model inside the test process: the pipeline's steps without KFP around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.recipe import Recipe
from pipeline.steps.evaluate import evaluate
from pipeline.steps.export import export
from pipeline.steps.optimize import optimize
from pipeline.steps.publish import publish
from pipeline.steps.quantize import quantize
from pipeline.steps.snapshot import snapshot
from pipeline.workspace import Workspace
from storage_init import sources
from storage_init.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def prepare(folder: Path, name: str, store: Path, recipe: Recipe | None = None) -> Path:
    """Prepare the model in ``folder`` and return the folder of its published version."""
    recipe = recipe or Recipe()
    target = Store(store)
    with target.staging("prepare") as root:
        workspace = Workspace(root)
        snapshot(sources.resolve(folder.as_uri()), workspace, recipe)
        for step in (export, optimize, quantize, evaluate):
            step(workspace, recipe)
        return publish(workspace, recipe, target, name)

"""A classifier and an embedder after every step before evaluate, made once a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.recipe.recipe import Recipe
from pipeline.steps.export import export
from pipeline.steps.optimize import optimize
from pipeline.steps.quantize import quantize
from pipeline.steps.snapshot import snapshot
from pipeline.workspace.workspace import Workspace
from storage_init import sources

if TYPE_CHECKING:
    from pathlib import Path


def quantized_workspace(folder: Path, root: Path, recipe: Recipe) -> Workspace:
    """Take a model through every step before evaluate."""
    workspace = Workspace(root)
    snapshot(sources.resolve(folder.as_uri()), workspace, recipe)
    for step in (export, optimize, quantize):
        step(workspace, recipe)
    return workspace


@pytest.fixture(scope="session")
def quantized(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Source, export and both variants; evaluate writes beside them, nothing else may."""
    return quantized_workspace(classifier, tmp_path_factory.mktemp("workspace"), Recipe())


@pytest.fixture(scope="session")
def quantized_embedder(embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same of the embedder."""
    return quantized_workspace(embedder, tmp_path_factory.mktemp("workspace"), Recipe())

"""A classifier and an embedder taken through every step before evaluate, once a session."""

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


def _quantized(folder: Path, root: Path) -> Workspace:
    workspace = Workspace(root)
    recipe = Recipe()
    snapshot(sources.resolve(folder.as_uri()), workspace, recipe)
    for step in (export, optimize, quantize):
        step(workspace, recipe)
    return workspace


@pytest.fixture(scope="session")
def quantized(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Source, export and both variants; evaluate writes beside them, nothing else may."""
    return _quantized(classifier, tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="session")
def quantized_embedder(embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same of the embedder."""
    return _quantized(embedder, tmp_path_factory.mktemp("workspace"))

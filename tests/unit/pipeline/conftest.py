"""A classifier taken through every step before evaluate, once a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.recipe import Recipe
from pipeline.steps.export import export
from pipeline.steps.optimize import optimize
from pipeline.steps.quantize import quantize
from pipeline.steps.snapshot import snapshot
from pipeline.workspace import Workspace
from storage_init import sources

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def quantized(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Source, export and both variants; evaluate writes beside them, nothing else may."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    recipe = Recipe()
    snapshot(sources.resolve(classifier.as_uri()), workspace, recipe)
    for step in (export, optimize, quantize):
        step(workspace, recipe)
    return workspace

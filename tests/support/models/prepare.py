"""Prepare a model inside the test process, by the product's own function."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pipeline.preparation import runner
from pipeline.preparation.progress import Lines
from pipeline.recipe.recipe import Recipe
from storage_init import sources
from storage_init.store.layout import Store
from tests.support.models.cache import digest, made_once

if TYPE_CHECKING:
    from pathlib import Path


def prepare(folder: Path, name: str, store: Path, recipe: Recipe | None = None) -> Path:
    """Prepare the model in ``folder`` and return the folder of its published version."""
    source = sources.resolve(folder.as_uri())
    display = Lines(sys.stderr)
    return runner.prepare(source, name, Store(store), recipe or Recipe(), display).folder


def prepared(folder: Path, name: str, recipe: Recipe | None = None) -> Path:
    """Return the published version of the model in ``folder``, prepared once; read only."""
    recipe = recipe or Recipe()
    inputs = digest(folder), name, recipe
    store = made_once(f"store-{name}", inputs, lambda path: prepare(folder, name, path, recipe))
    return Store(store).resolve(name)

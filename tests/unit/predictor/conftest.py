"""Engines and models over the tiny prepared models; read only, so that tests share them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from predictor.loading.load import LoadedModel, load
from predictor.serving.model import Model
from predictor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from predictor.engine.engine import Engine


@pytest.fixture(scope="session")
def loaded(prepared_classifier: Path) -> LoadedModel:
    """The classifier at full precision, whose answers do not depend on the batch."""
    return load(Settings(model_dir=prepared_classifier, variant="fp32"))


@pytest.fixture(scope="session")
def classifier_engine(loaded: LoadedModel) -> Engine:
    return loaded.engine


@pytest.fixture(scope="session")
def embedder_engine(prepared_embedder: Path) -> Engine:
    return load(Settings(model_dir=prepared_embedder, variant="fp32")).engine


@pytest.fixture(scope="session")
def served(prepared_classifier: Path) -> Iterator[Model]:
    """The classifier, ready under the name "m"; read only, so use ``make`` to stop a model."""
    model = Model(Settings("m", prepared_classifier, variant="fp32", lanes=2))
    model.load()
    yield model
    model.stop()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def make(prepared_classifier: Path) -> Iterator[Callable[..., Model]]:
    """Makes models and stops them after the test."""
    made: list[Model] = []

    def make(model_dir: Path = prepared_classifier, **flags: Any) -> Model:
        made.append(Model(Settings("m", model_dir, **flags)))
        return made[-1]

    yield make
    for model in made:
        model.stop()

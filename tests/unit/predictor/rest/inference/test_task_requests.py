"""Requests for a task choose their model by name, or by being the only one with the task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.errors import InvalidRequestError, NotReadyError, UnknownModelError
from predictor.rest.inference.openai import EmbeddingsRequest
from predictor.rest.inference.task_requests import model_for
from predictor.serving.model import Model
from predictor.serving.repository import Repository
from predictor.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


class Classification(EmbeddingsRequest):
    task = TextClassificationTask  # type: ignore[assignment]
    task_name = "text-classification"


@pytest.fixture
def models(served: Model, tmp_path: Path) -> Repository:
    """A classifier, and a model that is not loaded."""
    return Repository([served, Model(Settings("loading", tmp_path))], served.settings)


@pytest.mark.parametrize("name", ["m", None])
def test_a_model_is_found_by_name_or_as_the_only_one(models: Repository, name: str | None) -> None:
    assert model_for(models, name, Classification) is models["m"]


def test_a_model_of_another_task_is_refused(models: Repository, served: Model) -> None:
    with pytest.raises(InvalidRequestError, match="m is not a model for text-embedding"):
        model_for(models, "m", EmbeddingsRequest)
    alone = Repository([served], served.settings)
    with pytest.raises(InvalidRequestError, match="no model here is for text-embedding"):
        model_for(alone, None, EmbeddingsRequest)


def test_a_request_must_name_one_of_several_models(models: Repository, served: Model) -> None:
    models._models["n"] = served
    with pytest.raises(InvalidRequestError, match=r'name the model in "model": m, m are for'):
        model_for(models, None, Classification)


def test_unknown_models_differ_from_models_that_are_not_ready(models: Repository) -> None:
    with pytest.raises(UnknownModelError, match="there is no model other here"):
        model_for(models, "other", EmbeddingsRequest)
    for name in ("loading", None):
        with pytest.raises(NotReadyError, match="model loading is not ready"):
            model_for(models, name, EmbeddingsRequest)

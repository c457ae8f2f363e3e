"""Which model a request means that names a task, and what is said where none is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.errors import InvalidRequestError, NotReadyError, UnknownModelError
from predictor.rest.inference.task_models import decode, model_for
from predictor.serving.model import Model
from predictor.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


class Body(msgspec.Struct):
    number: int


def test_a_body_is_decoded_and_what_is_not_known_let_through() -> None:
    assert decode(b'{"number": 3, "user": "x"}', Body, "a test") == Body(3)


@pytest.mark.parametrize("body", [b"", b"{", b'{"number": "3"}', b"[" * 100_000, b'{"n": "\xff"}'])
def test_a_body_that_is_wrong_is_refused_with_what_it_should_be(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="the body is not a test: "):
        decode(body, Body, "a test")


@pytest.mark.parametrize("name", ["m", None])
def test_a_model_is_found_by_its_name_or_by_being_the_only_one(
    served: Model, tmp_path: Path, name: str | None
) -> None:
    models = {"m": served, "other": Model(Settings("other", tmp_path))}
    assert model_for(models, name, TextClassificationTask, "text-classification") is served


def test_a_model_of_another_task_is_refused(served: Model) -> None:
    with pytest.raises(InvalidRequestError, match="m is not a model for text-embedding"):
        model_for({"m": served}, "m", TextEmbeddingTask, "text-embedding")
    with pytest.raises(InvalidRequestError, match="no model here is for text-embedding"):
        model_for({"m": served}, None, TextEmbeddingTask, "text-embedding")


def test_two_models_of_a_kind_must_be_told_apart(served: Model) -> None:
    models = {"m": served, "n": served}
    with pytest.raises(InvalidRequestError, match=r'name the model in "model": m, m are for'):
        model_for(models, None, TextClassificationTask, "text-classification")


def test_an_unknown_model_and_one_that_is_not_ready_are_told_apart(
    served: Model, tmp_path: Path
) -> None:
    models = {"m": served, "loading": Model(Settings("loading", tmp_path))}
    with pytest.raises(UnknownModelError, match="there is no model other here"):
        model_for(models, "other", TextEmbeddingTask, "text-embedding")
    for name in ("loading", None):
        with pytest.raises(NotReadyError, match="model loading is not ready"):
            model_for(models, name, TextEmbeddingTask, "text-embedding")

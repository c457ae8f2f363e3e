"""The session of a lone request: where there is one, and that it answers like the lanes'."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from predictor.errors import SelfTestError
from predictor.loading import alone
from predictor.loading.alone import open_alone, threads_alone
from predictor.loading.load import load
from predictor.protocol.types import Texts
from predictor.serving import version
from predictor.settings import Settings
from tests.support.clients.requests import ask, texts
from tests.support.models.engines import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from predictor.loading.load import LoadedModel
    from predictor.serving.model import Model


@pytest.fixture(scope="module")
def int8(prepared_classifier: Path) -> LoadedModel:
    return load(Settings(model_dir=prepared_classifier, variant="int8"))


@pytest.mark.parametrize(
    ("settings", "packed", "threads"),
    [
        (Settings(lanes=1, threads=1), True, 0),
        (Settings(lanes=2, threads=1), True, 2),
        (Settings(lanes=2, threads=1), False, 0),
        (Settings(lanes=1, threads=2), True, 0),
        (Settings(lanes=64, threads=1), True, 4),
        (Settings(lanes=2, threads=1, threads_alone=2), False, 2),
        (Settings(lanes=2, threads=1, threads_alone=1), True, 0),
    ],
)
def test_there_is_one_where_it_has_a_use_and_copies_no_weights(
    int8: LoadedModel, settings: Settings, packed: bool, threads: int
) -> None:
    assert int8.choice
    loaded = replace(int8, choice=replace(int8.choice, packed=packed))
    assert threads_alone(loaded, settings) == threads
    assert threads_alone(replace(int8, choice=None), settings) == 0


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_it_gives_the_answers_of_the_lanes(prepared_classifier: Path, variant: str) -> None:
    settings = Settings(model_dir=prepared_classifier, variant=variant, lanes=2, threads_alone=2)
    loaded = load(settings)
    engine = open_alone(loaded, settings)
    request = Texts(["a bad book", "good", "the film was good " * 15])
    np.testing.assert_array_equal(rows_of(engine, request), rows_of(loaded.engine, request))


def test_a_session_that_answers_otherwise_is_not_used(
    make: Callable[..., Model], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> float:
        raise SelfTestError("self-test failed")

    monkeypatch.setattr(alone, "replay_selftest", refuse)
    model = make(variant="fp32", lanes=2, threads_alone=2)
    model.load()
    model.current.give_threads(model.settings)
    assert "a lone request runs on the threads of one lane: self-test failed" in caplog.text
    assert ask(model, texts("good")).outputs


def test_stopping_waits_for_a_session_that_is_being_opened(
    make: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, opened = threading.Event(), threading.Event()

    def open_slowly(*_: object) -> object:
        opening.set()
        time.sleep(0.2)
        opened.set()
        raise SelfTestError("not needed any more")

    monkeypatch.setattr(version, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(version, "open_alone", open_slowly)
    model = make(variant="fp32", lanes=2, threads_alone=2)
    model.load()
    assert opening.wait(10)
    model.stop()
    assert opened.is_set(), "Python's end aborts a process whose threads are in ONNX Runtime"

"""A served model: when it is ready, which version answers, and how it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from predictor.errors import NotReadyError
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.serving.model import Model, State
from storage_init.base.errors import WarmstartError
from tests.support.clients.requests import ask, infer, texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from predictor.engine.engine import Engine
    from predictor.loading.load import LoadedModel
    from predictor.protocol.messages import Answer

TEXTS = ["the film was good", "a bad book", "i would never watch this again"]


def test_only_a_load_makes_it_ready(make: Callable[..., Model]) -> None:
    model = make()
    assert (model.state, model.ready) == (State.LOADING, False)
    model.load()
    assert model.ready
    model.stop()
    assert (model.state, model.ready) == (State.STOPPED, False)


def test_a_load_that_fails_leaves_it_not_ready(make: Callable[..., Model], tmp_path: Path) -> None:
    model = make(tmp_path)
    with pytest.raises(WarmstartError):
        model.load()
    assert (model.state, model.ready) == (State.FAILED, False)


def test_a_load_that_is_under_way_is_waited_for(
    make: Callable[..., Model], loaded: LoadedModel
) -> None:
    model = make()
    model.serve(loaded)
    assert model.loaded is loaded
    assert ask(model, texts("good")).model_version == loaded.version


@pytest.mark.parametrize("end", [Model.drain, Model.stop])
def test_before_it_is_ready_everything_is_told_so(
    make: Callable[..., Model], end: Callable[[Model], None]
) -> None:
    model = make()
    for _ in range(2):
        with pytest.raises(NotReadyError, match="m is not ready"):
            ask(model, texts("good"))
        with pytest.raises(NotReadyError, match="m is not ready"):
            asyncio.run(model.current.predict({"instances": ["good"]}))
        with pytest.raises(NotReadyError, match="m is not ready"):
            model.current.metadata()
        end(model)  # a model that was never ready has nothing to drain


def test_a_draining_model_answers_and_says_that_it_is_not_ready(
    make: Callable[..., Model],
) -> None:
    model = make()
    model.load()
    model.drain()
    assert not model.ready
    assert ask(model, texts("good")).outputs["label"].shape == (1,)


def test_after_it_was_stopped_a_request_is_told_so(make: Callable[..., Model]) -> None:
    model = make()
    model.load()
    model.stop()
    with pytest.raises(NotReadyError, match="m is not ready"):
        ask(model, texts("good"))
    model.stop()  # once more does no harm


def test_requests_that_stopping_overtakes_are_answered(make: Callable[..., Model]) -> None:
    model = make()
    model.load()

    async def overtaken() -> list[Answer]:
        tasks = [asyncio.create_task(infer(model, texts(*TEXTS * 4))) for _ in range(8)]
        await asyncio.sleep(0)
        await asyncio.to_thread(model.stop)
        return await asyncio.gather(*tasks)

    assert len(asyncio.run(overtaken())) == 8


def test_texts_whose_version_is_replaced_while_they_get_tokens_are_answered_by_the_next(
    make: Callable[..., Model], loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(variant="fp32")
    model.serve(loaded)
    tokenize = type(loaded.engine).tokenize

    def swap(engine: Engine, requests: list[Texts]) -> Any:
        monkeypatch.setattr(type(engine), "tokenize", tokenize)
        before = model.serve(loaded)
        assert before is not None
        before.stop()
        return tokenize(engine, requests)

    monkeypatch.setattr(type(loaded.engine), "tokenize", swap)
    answer = asyncio.run(model.answer(Texts(["good", "bad"]), Parameters()))
    assert answer.outputs["label"].shape == (2,)


def test_texts_whose_model_is_unloaded_while_they_get_tokens_are_told_so(
    make: Callable[..., Model], loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(variant="fp32")
    model.serve(loaded)
    tokenize = type(loaded.engine).tokenize

    def unload(engine: Engine, requests: list[Texts]) -> Any:
        ended = model.unload()
        assert ended is not None
        ended.stop()
        return tokenize(engine, requests)

    monkeypatch.setattr(type(loaded.engine), "tokenize", unload)
    with pytest.raises(NotReadyError, match="m is not ready"):
        asyncio.run(model.answer(Texts(["good"]), Parameters()))

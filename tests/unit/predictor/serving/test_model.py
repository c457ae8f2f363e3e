"""A model: when it is ready, which version answers, and how it ends."""

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


def test_a_model_is_ready_from_its_load_until_it_stops(
    make: Callable[..., Model], loaded: LoadedModel
) -> None:
    model = make(variant="fp32")
    assert (model.state, model.ready) == (State.LOADING, False)
    model.load()
    assert model.ready
    assert ask(model, texts("good")).model_version == loaded.version
    for _ in range(2):  # stopping twice does no harm
        model.stop()
        assert (model.state, model.ready) == (State.STOPPED, False)
    with pytest.raises(NotReadyError, match="m is not ready"):
        ask(model, texts("good"))


def test_a_load_that_fails_leaves_it_not_ready(make: Callable[..., Model], tmp_path: Path) -> None:
    model = make(tmp_path)
    with pytest.raises(WarmstartError):
        model.load()
    assert (model.state, model.ready) == (State.FAILED, False)


@pytest.mark.parametrize("end", [Model.drain, Model.stop])
def test_a_model_that_is_not_ready_says_so_to_every_request(
    make: Callable[..., Model], end: Callable[[Model], None]
) -> None:
    model = make()
    for _ in range(2):
        for refused in (
            lambda: ask(model, texts("good")),
            lambda: asyncio.run(model.current.predict({"instances": ["good"]})),
            lambda: model.loaded,
        ):
            with pytest.raises(NotReadyError, match="m is not ready"):
                refused()
        end(model)  # a model that was never ready has nothing to drain


def test_a_draining_model_answers_and_is_not_ready(
    make: Callable[..., Model], loaded: LoadedModel
) -> None:
    model = make()
    model.serve(loaded)
    model.drain()
    assert not model.ready
    assert ask(model, texts("good")).outputs["label"].shape == (1,)


def test_queued_requests_are_answered_when_the_model_stops(
    make: Callable[..., Model], loaded: LoadedModel
) -> None:
    model = make()
    model.serve(loaded)

    async def stop() -> list[Answer]:
        tasks = [asyncio.create_task(infer(model, texts(*["a bad book"] * 12))) for _ in range(8)]
        await asyncio.sleep(0)
        await asyncio.to_thread(model.stop)
        return await asyncio.gather(*tasks)

    assert len(asyncio.run(stop())) == 8


def test_a_version_that_is_replaced_while_it_tokenises_answers_the_request(
    make: Callable[..., Model], loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(variant="fp32")
    model.serve(loaded)
    first, tokenize = model.current, type(loaded.engine).tokenize

    def replace_version(engine: Engine, requests: list[Texts]) -> Any:
        monkeypatch.setattr(type(engine), "tokenize", tokenize)
        assert model.serve(loaded) is first
        return tokenize(engine, requests)

    monkeypatch.setattr(type(loaded.engine), "tokenize", replace_version)
    result = asyncio.run(model.current.answer(Texts(["good", "bad"]), Parameters()))
    assert result.outputs["label"].shape == (2,)
    assert model.current is not first
    first.stop()

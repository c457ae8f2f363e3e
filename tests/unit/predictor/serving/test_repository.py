"""Loading, replacing and unloading models while a server serves."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from predictor.errors import (
    ChangeRefusedError,
    NotReadyError,
    StoppingError,
    UnknownModelError,
)
from predictor.loading.load import load
from predictor.serving.model import Model, State
from predictor.serving.repository import Repository
from predictor.settings import Settings
from tests.support.clients.requests import ask, infer, texts
from tests.support.models.packages import describe_again, flip_byte, writable_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from predictor.loading.load import LoadedModel
    from predictor.protocol.messages import Answer

    Make = Callable[..., Repository]


@pytest.fixture
def folder(prepared_classifier: Path, tmp_path: Path) -> Path:
    """A folder of models with one of its own, "m"."""
    writable_copy(prepared_classifier, tmp_path / "m")
    return tmp_path


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    """Makes repositories over the folder whose model "m" is served, or not loaded yet."""
    made: list[Repository] = []

    def make(*, load: bool = True) -> Repository:
        settings = Settings(models_dir=folder, variant="fp32", lanes=1)
        model = Model(Settings("m", folder / "m", variant="fp32", lanes=1))
        if load:
            model.load()
        made.append(Repository([model], settings))
        return made[-1]

    yield make
    for repository in made:
        repository.stop_changes()
        for model in repository.values():
            model.stop()


def change(folder: Path) -> None:
    """Make another version of a package, which answers the same."""
    (folder / "evidence.json").write_text("another one")
    describe_again(folder)


def states(repository: Repository, **which: Any) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["state"], row["reason"]) for row in repository.index(**which)}


def test_a_new_version_replaces_the_old_one(make: Make, folder: Path) -> None:
    repository = make()
    model = repository["m"]
    before = ask(model, texts("good"))
    change(folder / "m")
    assert asyncio.run(repository.load("m")) is model
    after = ask(model, texts("good"))
    assert before.model_version != after.model_version == model.loaded.version
    np.testing.assert_allclose(after.outputs["score"], before.outputs["score"], atol=1e-5)
    assert model.ready


def test_a_version_that_is_served_is_not_loaded_again(make: Make) -> None:
    repository = make()
    loaded = repository["m"].loaded
    asyncio.run(repository.load("m"))
    assert repository["m"].loaded is loaded


def test_requests_in_flight_keep_the_version_they_began_with(make: Make, folder: Path) -> None:
    repository = make()
    model = repository["m"]
    old = model.loaded.version
    change(folder / "m")

    async def swap() -> list[Answer]:
        request = texts(*["good"] * 64)
        swapping = asyncio.ensure_future(repository.load("m"))
        asked = []
        while not swapping.done():
            if model.waiting < 8 * 64:  # else a slow load fills the queue
                asked.append(asyncio.ensure_future(infer(model, request)))
            await asyncio.sleep(0.001)
        await swapping
        return await asyncio.gather(*asked, infer(model, request))

    versions = [answer.model_version for answer in asyncio.run(swap())]
    assert (versions[0], versions[-1]) == (old, model.loaded.version)
    assert sorted(versions, key=[old, model.loaded.version].index) == versions


@pytest.mark.parametrize("known", [True, False])
def test_a_version_that_fails_to_load_leaves_the_old_one_serving(
    make: Make, folder: Path, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make()
    model = repository["m"]
    old = model.loaded.version
    change(folder / "m")
    if known:
        flip_byte(folder / "m" / "tokenizer.json", position=100)
        reason = "failed verification"
    else:

        def fail(*_: Any) -> Any:
            raise MemoryError("no room")

        monkeypatch.setattr("predictor.loading.load.warm_up", fail)
        reason = "MemoryError: no room"
    with pytest.raises(ChangeRefusedError, match=f"m was not loaded: .*{reason}.*{old} is still"):
        asyncio.run(repository.load("m"))
    assert model.ready
    assert reason in states(repository)["m"][1]
    assert ask(model, texts("good")).model_version == old


def test_unload_answers_queued_requests_and_frees_the_model(make: Make) -> None:
    repository = make()
    model = repository["m"]
    session = weakref.ref(model.loaded.engine.session)

    async def unload() -> list[Answer]:
        request = texts(*["good"] * 64)
        asked = [asyncio.ensure_future(infer(model, request)) for _ in range(8)]
        await asyncio.sleep(0)
        await repository.unload("m")
        return await asyncio.gather(*asked)

    assert len(asyncio.run(unload())) == 8
    gc.collect()
    assert session() is None
    assert (model.state, repository.ready) == (State.UNLOADED, False)
    assert states(repository) == {"m": ("UNAVAILABLE", "unloaded")}
    assert states(repository, ready_only=True) == {}
    with pytest.raises(NotReadyError):
        ask(model, texts("good"))
    asyncio.run(repository.load("m"))
    assert ask(model, texts("good")).outputs
    assert repository.ready


def test_a_model_that_cannot_be_loaded_has_failed_and_the_server_stays_ready(
    make: Make, folder: Path
) -> None:
    repository = make()
    (folder / "bad").mkdir()
    with pytest.raises(ChangeRefusedError, match="bad was not loaded"):
        asyncio.run(repository.load("bad"))
    assert states(repository)["bad"][0] == "UNAVAILABLE"
    assert repository["bad"].state is State.FAILED
    assert repository.ready


def test_a_model_put_into_the_folder_later_is_found_by_its_name(
    make: Make, folder: Path, prepared_embedder: Path
) -> None:
    repository = make()
    with pytest.raises(UnknownModelError, match="there is no model new here"):
        asyncio.run(repository.load("new"))
    writable_copy(prepared_embedder, folder / "new")
    assert states(repository)["new"] == ("UNAVAILABLE", "not loaded")
    with pytest.raises(UnknownModelError):
        asyncio.run(repository.unload("new"))
    asyncio.run(repository.load("new"))
    assert list(repository) == ["m", "new"]
    assert ask(repository["new"], texts("good")).outputs["embedding"].shape[0] == 1
    assert states(repository) == {"m": ("READY", ""), "new": ("READY", "")}


def test_the_server_is_ready_when_all_wanted_models_are(make: Make, folder: Path) -> None:
    repository = make()
    assert repository.ready
    for end in (repository["m"].drain, repository["m"].stop):
        end()
        assert not repository.ready
    assert not make(load=False).ready
    assert not Repository([], Settings()).ready


def test_changes_of_one_model_run_one_after_the_other(make: Make, folder: Path) -> None:
    repository = make()
    change(folder / "m")

    async def both() -> None:
        await asyncio.gather(repository.load("m"), repository.unload("m"), repository.load("m"))

    asyncio.run(both())
    assert repository["m"].ready


def test_a_model_that_is_still_loading_is_not_changed(make: Make) -> None:
    repository = make(load=False)
    with pytest.raises(ChangeRefusedError, match="m is being loaded already"):
        asyncio.run(repository.load("m"))
    with pytest.raises(ChangeRefusedError, match="m is being loaded"):
        asyncio.run(repository.unload("m"))
    assert states(repository)["m"] == ("LOADING", "")


def test_a_change_is_finished_although_its_client_has_left(make: Make) -> None:
    repository = make()
    asyncio.run(repository.unload("m"))

    async def leave() -> None:
        asked = asyncio.ensure_future(repository.load("m"))
        await asyncio.sleep(0.001)
        asked.cancel()
        while repository["m"].state is State.LOADING:
            await asyncio.sleep(0.001)

    asyncio.run(leave())
    assert repository["m"].ready


def test_a_server_that_stops_refuses_changes(make: Make) -> None:
    repository = make()
    repository.stop_changes()
    for change_it in (repository.load, repository.unload):
        with pytest.raises(StoppingError):
            asyncio.run(change_it("m"))


def test_a_load_that_runs_when_the_server_stops_makes_nothing_ready(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    repository, entered = make(), threading.Event()
    model, old = repository["m"], repository["m"].loaded.version
    change(folder / "m")

    def slow(*given: Any) -> LoadedModel:
        entered.set()
        gate.wait()
        return load(*given)

    monkeypatch.setattr("predictor.serving.repository.load", slow)

    async def stop() -> None:
        asked = [asyncio.ensure_future(repository.load("m")) for _ in range(2)]
        await asyncio.to_thread(entered.wait)
        repository.stop_changes()
        model.drain()
        for each in asked:
            with pytest.raises(StoppingError):
                await each

    asyncio.run(stop())
    gate.set()
    assert (model.state, model.loaded.version) == (State.DRAINING, old)
    assert states(repository) == {"m": ("UNLOADING", "")}


def test_a_version_counts_while_the_server_drains(make: Make) -> None:
    repository = make()
    version = repository["m"].loaded.version
    repository["m"].drain()
    assert repository.find("m", version).loaded.version == version
    assert repository.index()[0]["version"] == version
    with pytest.raises(UnknownModelError, match="m has no version 1"):
        repository.find("m", "1")

"""The server's models by name; loads, replaces and unloads them while it serves.

A new version is loaded while the old one answers, and replaces it in one step on the event loop
once every check has passed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from predictor import process
from predictor.engine.tokenizer_cache import TokenizerCache
from predictor.errors import (
    ChangeRefusedError,
    StoppingError,
    UnknownModelError,
    UnsupportedModelError,
)
from predictor.loading.discovery import discover
from predictor.loading.load import load
from predictor.serving.model import Model, State
from storage_init.base.errors import WarmstartError
from storage_init.base.logs import event
from storage_init.format.reading import is_package, read_package

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator, MutableSequence
    from concurrent.futures import Future

    from predictor.loading.load import LoadedModel
    from predictor.serving.version import ModelVersion
    from predictor.settings import Settings

    Loads = MutableSequence[tuple[Settings, Future[LoadedModel]]]

# The states of the model repository extension; a model that is draining is still served.
STATES = {
    State.LOADING: "LOADING",
    State.READY: "READY",
    State.DRAINING: "UNLOADING",
    State.FAILED: "UNAVAILABLE",
    State.UNLOADED: "UNAVAILABLE",
    State.STOPPED: "UNAVAILABLE",
}

log = logging.getLogger(__name__)


class Repository(Mapping[str, Model]):
    """Models by name.

    Args:
        models: the models from the start.
        settings: the server's own; its folder of models may hold further models.
        loads: the loads in progress; the loads of this repository are added while they run.
        tokenizers: shared by the models.
    """

    def __init__(
        self,
        models: Iterable[Model],
        settings: Settings,
        loads: Loads | None = None,
        tokenizers: TokenizerCache | None = None,
    ) -> None:
        self._models = {model.name: model for model in models}
        self.settings = settings
        self._loads: Loads = [] if loads is None else loads
        self._tokenizers = tokenizers or TokenizerCache()
        self._changing = {name: asyncio.Lock() for name in self._models}
        self._changes: set[asyncio.Task[Any]] = set()
        self._loader = ThreadPoolExecutor(settings.lanes, thread_name_prefix="load")
        self._stopping = False
        self._waited_for: set[asyncio.Future[LoadedModel]] = set()

    def __getitem__(self, name: str) -> Model:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def find(self, name: str, version: str | None = None) -> Model:
        """The model of that name; ``version``, if given, must be the loaded one.

        Raises:
            UnknownModelError: the server does not have the model, or serves another version.
        """
        model = self._models.get(name)
        if model is None:
            raise UnknownModelError(name)
        if version and model.is_loaded and version != model.loaded.version:
            raise UnknownModelError(name, version)
        return model

    @property
    def live(self) -> bool:
        """Whether no model has a lane that is stuck."""
        return all(model.live for model in self._models.values())

    @property
    def ready(self) -> bool:
        """Whether all wanted models are ready, and at least one is."""
        models = self._models.values()
        return any(m.ready for m in models) and all(m.ready for m in models if m.wanted)

    def stop_changes(self) -> None:
        """Refuse to load and unload from now on; loads in progress get nothing served."""
        self._stopping = True
        for loading in self._waited_for:
            loading.cancel()
        self._loader.shutdown(wait=False, cancel_futures=True)

    def index(self, *, ready_only: bool = False) -> list[dict[str, str]]:
        """The extension's index: the server's models, and the folder's other models."""
        rows = [_row(model) for model in self._models.values()]
        rows += [
            {"name": name, "version": "", "state": "UNAVAILABLE", "reason": "not loaded"}
            for name in self._discovered()
            if name not in self._models
        ]
        return [row for row in rows if not ready_only or row["state"] == "READY"]

    async def load(self, name: str) -> Model:
        """Serve the version that the model's folder holds now.

        The old version answers until the new one has passed every check. A version that is being
        served is not loaded again.

        Raises:
            UnknownModelError: neither the server nor its folder of models has the model.
            ChangeRefusedError: the load failed, or another one is in progress.
            StoppingError: the server is stopping.
        """
        model = self._models.get(name) or self._add(name)
        await self._change(self._load(model))
        return model

    async def unload(self, name: str) -> None:
        """Answer a model's queued requests, then free its memory.

        Raises:
            UnknownModelError: the server does not have the model.
            ChangeRefusedError: the model is being loaded.
            StoppingError: the server is stopping.
        """
        await self._change(self._unload(self.find(name)))

    async def _change(self, change: Coroutine[Any, Any, None]) -> None:
        """Make a change and finish it even if its client disconnects."""
        if self._stopping:
            change.close()
            raise StoppingError
        task = asyncio.ensure_future(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        await asyncio.shield(task)

    async def _load(self, model: Model) -> None:
        async with self._changing[model.name]:
            if model.state is State.LOADING:
                raise ChangeRefusedError(f"{model.name} is being loaded already")
            try:
                if model.ready and await self._is_current(model):
                    return
                if self._stopping:
                    raise StoppingError
                if not model.ready:
                    model.begin()
                replaced = model.serve(await self._loaded(model.settings))
            except StoppingError:
                raise
            except Exception as error:
                raise _refused(model, error) from error
            model.wanted = True
            await _end(replaced)

    async def _unload(self, model: Model) -> None:
        async with self._changing[model.name]:
            if model.state is State.LOADING:
                raise ChangeRefusedError(f"{model.name} is being loaded")
            model.wanted = False
            await _end(model.unload())
            event(log, "model unloaded", model=model.name)

    async def _is_current(self, model: Model) -> bool:
        """Whether the folder holds the version that is served; False for a plain ONNX export."""
        folder = model.settings.folder
        if model.loaded.package is None or not is_package(folder):
            return False
        _, version = await asyncio.to_thread(read_package, folder)
        return version == model.loaded.version

    async def _loaded(self, settings: Settings) -> LoadedModel:
        """Load a model.

        Raises:
            StoppingError: the server began to stop first; the load remains among the loads that
                are in progress.
        """
        future = self._loader.submit(load, settings, None, self._tokenizers)
        in_progress = (settings, future)
        self._loads.append(in_progress)
        loading = asyncio.wrap_future(future)
        self._waited_for.add(loading)
        try:
            loaded = await loading
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._waited_for.discard(loading)
            if future.done():
                self._loads.remove(in_progress)
        if self._stopping:
            # A model that becomes ready now would get requests that the server does not take.
            raise StoppingError
        return loaded

    def _add(self, name: str) -> Model:
        """Add a model that was put into the folder after the start."""
        settings = self._discovered().get(name)
        if settings is None:
            raise UnknownModelError(name)
        model = Model(settings, wanted=False)
        model.unload()
        self._models[name] = model
        self._changing[name] = asyncio.Lock()
        return model

    def _discovered(self) -> dict[str, Settings]:
        if self.settings.models_dir is None:
            return {}
        try:
            return {each.model_name: each for each in discover(self.settings)}
        except UnsupportedModelError:
            return {}


def _row(model: Model) -> dict[str, str]:
    reason = model.reason or ("unloaded" if model.state is State.UNLOADED else "")
    version = model.loaded.version if model.is_loaded else ""
    return {"name": model.name, "version": version, "state": STATES[model.state], "reason": reason}


def _refused(model: Model, error: Exception) -> ChangeRefusedError:
    """Note and log why a load failed; the error says which version is still served."""
    known = isinstance(error, WarmstartError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    model.fail(reason)
    goes_on = f"; version {model.loaded.version} is still served" if model.ready else ""
    message = f"{model.name} was not loaded: {reason}{goes_on}"
    log.error("%s", message, exc_info=None if known else error)
    return ChangeRefusedError(message)


async def _end(version: ModelVersion | None) -> None:
    if version:
        await asyncio.to_thread(version.stop)
        await asyncio.to_thread(process.release_memory)

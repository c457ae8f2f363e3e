"""One served model: its state, and which version of it answers."""

from __future__ import annotations

import logging
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING

from predictor.errors import NotReadyError
from predictor.loading import load as loading
from predictor.serving.batcher import StoppedError
from predictor.serving.version import ModelVersion
from storage_init.base.logs import event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.loading.load import LoadedModel
    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Texts, Tokens
    from predictor.serving.version import InferenceResult
    from predictor.settings import Settings

log = logging.getLogger(__name__)


class State(str, Enum):
    """Where a model is between its process's start and end.

    A draining model answers what comes, but says that it is not ready.
    """

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"
    UNLOADED = "unloaded"
    STOPPED = "stopped"


class Model:
    """Serves one model; ready only after every check of its load.

    ``reason``: why the last load failed. ``wanted``: whether the server is not ready without it.
    """

    def __init__(self, settings: Settings, *, wanted: bool = True) -> None:
        self.name = settings.model_name
        self.state = State.LOADING
        self.reason: str | None = None
        self.wanted = wanted
        self.settings = settings
        self._current: ModelVersion | None = None

    @property
    def ready(self) -> bool:
        return self.state is State.READY

    @property
    def crowded(self) -> bool:
        """Whether a request would have to wait for others."""
        return self.waiting > 0

    @property
    def waiting(self) -> int:
        """Texts that no lane has taken yet."""
        return self._current.waiting if self._current else 0

    @property
    def current(self) -> ModelVersion:
        """The version that answers. It may be another one after the event loop had a turn.

        Raises:
            NotReadyError: none does, at this moment.
        """
        if self._current is None:
            raise NotReadyError(self.name)
        return self._current

    @property
    def loaded(self) -> LoadedModel:
        """What is served.

        Raises:
            NotReadyError: nothing is, at this moment.
        """
        return self.current.loaded

    async def answer(
        self,
        asked: Texts | Sequence[Tokens],
        parameters: Parameters,
        deadline: float | None = None,
    ) -> InferenceResult:
        """As :meth:`ModelVersion.answer`, by the next version where one was replaced meanwhile.

        Raises:
            NotReadyError: the model is not loaded, or not any more.
            RequestError: as :meth:`ModelVersion.answer`.
        """
        while True:
            # What is served after that is another version, or none.
            with suppress(StoppedError):
                return await self.current.answer(asked, parameters, deadline)

    def load(self) -> None:
        """Load, verify, self-test and warm up; then serve.

        Raises:
            WarmstartError: names the check that failed; the model is not ready then.
        """
        try:
            loaded = loading.load(self.settings)
        except BaseException as error:
            self.fail(str(error))
            raise
        self.serve(loaded)

    def begin(self) -> None:
        """It is being loaded, and serves nothing meanwhile."""
        self.state = State.LOADING

    def fail(self, reason: str) -> None:
        """Its load has failed; a version that is served goes on being served."""
        self.reason = reason
        if self._current is None:
            self.state = State.FAILED

    def serve(self, loaded: LoadedModel) -> ModelVersion | None:
        """Be ready with what was loaded elsewhere.

        Returns the version it replaces, if it does: it is to be stopped, and answers what was asked
        of it before it ends.
        """
        before, self._current = self._current, ModelVersion(self.settings, loaded)
        self.state, self.reason = State.READY, None
        event(
            log,
            "model ready",
            model=self.name,
            version=loaded.version,
            variant=loaded.variant,
            warmup_p50_ms=round(loaded.warmup.quantile(0.5) * 1000, 2),
            **{f"{name}_seconds": round(s, 4) for name, s in loaded.phases.seconds.items()},
        )
        return before

    def unload(self) -> ModelVersion | None:
        """Serve nothing any more; its version, if any, is to be stopped as :meth:`serve` says."""
        return self._end(State.UNLOADED)

    def drain(self) -> None:
        """Say that no more is wanted; what comes all the same is still answered."""
        if self.ready:
            self.state = State.DRAINING

    def stop(self) -> None:
        """Answer what is queued, then end the lanes."""
        version = self._end(State.STOPPED)
        if version:
            version.stop()

    def _end(self, state: State) -> ModelVersion | None:
        ended, self._current = self._current, None
        self.state = state
        return ended

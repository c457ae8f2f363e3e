"""A model that is served under one name: its state, and the version that answers."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING

from predictor.errors import NotReadyError
from predictor.loading.load import load
from predictor.serving.version import ModelVersion
from storage_init.base.logs import event

if TYPE_CHECKING:
    from predictor.loading.load import LoadedModel
    from predictor.settings import Settings

log = logging.getLogger(__name__)


class State(StrEnum):
    """The states of a model; a draining model still answers requests, but is not ready."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"
    UNLOADED = "unloaded"
    STOPPED = "stopped"


class Model:
    """Serves one model; it becomes ready only after all checks of its load.

    ``reason``: why the last load failed. ``wanted``: whether the server's readiness depends on it.
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
    def live(self) -> bool:
        """Whether every lane of the current version makes progress."""
        return self._current is None or self._current.live

    @property
    def is_loaded(self) -> bool:
        """Whether there is a version that answers."""
        return self._current is not None

    @property
    def crowded(self) -> bool:
        """Whether texts wait for a lane."""
        return self.waiting > 0

    @property
    def waiting(self) -> int:
        """Texts that no lane has taken yet."""
        return self._current.waiting if self._current else 0

    @property
    def cached_bytes(self) -> int:
        """Bytes of the answers that are kept."""
        return self._current.cached_bytes if self._current else 0

    @property
    def current(self) -> ModelVersion:
        """The version that answers now; it may change whenever the event loop runs other tasks.

        Raises:
            NotReadyError: there is none.
        """
        if self._current is None:
            raise NotReadyError(self.name)
        return self._current

    @property
    def loaded(self) -> LoadedModel:
        """The loaded model of the version that answers now.

        Raises:
            NotReadyError: there is none.
        """
        return self.current.loaded

    def load(self) -> None:
        """Load, verify, self-test and warm up the model, then serve it.

        Raises:
            WarmstartError: names the check that failed; the model is not ready.
        """
        try:
            loaded = load(self.settings)
        except BaseException as error:
            self.fail(str(error))
            raise
        self.serve(loaded)

    def begin(self) -> None:
        """Note that the model is being loaded and serves nothing meanwhile."""
        self.state = State.LOADING

    def fail(self, reason: str) -> None:
        """Note that a load failed; a version that is being served stays."""
        self.reason = reason
        if self._current is None:
            self.state = State.FAILED

    def serve(self, loaded: LoadedModel) -> ModelVersion | None:
        """Serve what was loaded; returns the version that it replaces, for the caller to stop."""
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
        """Serve nothing any more; returns the version that answered, for the caller to stop."""
        return self._end(State.UNLOADED)

    def drain(self) -> None:
        """Report not ready, and still answer requests."""
        if self.ready:
            self.state = State.DRAINING

    def stop(self) -> None:
        """Answer the queued requests, then end the lanes."""
        version = self._end(State.STOPPED)
        if version:
            version.stop()

    def _end(self, state: State) -> ModelVersion | None:
        ended, self._current = self._current, None
        self.state = state
        return ended

"""One served model: its state, and requests of any transport to answers. Owns the batcher."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum
from random import getrandbits
from typing import TYPE_CHECKING, Any
from uuid import UUID

from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from predictor import codec, loading, metrics, v1
from predictor.admission import Admission
from predictor.batcher import Batcher
from predictor.engine import Texts
from predictor.errors import InvalidRequestError, NotReadyError
from predictor.protocol import Answer, Request
from predictor.scheduler import Limits
from storage_init.logs import event
from storage_init.runtime import QuestionTooLongError, TextTooLongError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from predictor.engine import Tokens
    from predictor.loading import LoadedModel
    from predictor.parameters import Parameters
    from predictor.settings import Settings

# The protocol's name for it.
PLATFORM = "onnx_onnxv1"

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


@dataclass(frozen=True)
class _Serving:
    """One version as it is served; a request keeps to the one that it began with."""

    loaded: LoadedModel
    batcher: Batcher
    admission: Admission


@dataclass(frozen=True)
class Counted:
    """What a task answers, and the ``tokens`` that it was asked, special ones included."""

    outputs: dict[str, NDArray[Any]]
    tokens: int


class ServedModel:
    """Serves one model; ready only after every check of its load.

    ``reason``: why the last load failed. ``wanted``: whether the server is not ready without it.
    """

    def __init__(self, settings: Settings, *, wanted: bool = True) -> None:
        self.name = settings.model_name
        self.state = State.LOADING
        self.reason: str | None = None
        self.wanted = wanted
        self.settings = settings
        self._serving: _Serving | None = None

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
        return self._serving.batcher.waiting if self._serving else 0

    @property
    def loaded(self) -> LoadedModel:
        """What is served.

        Raises:
            NotReadyError: nothing is, at this moment.
        """
        return self._now.loaded

    @property
    def _now(self) -> _Serving:
        if self._serving is None:
            raise NotReadyError(self.name)
        return self._serving

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
        if self._serving is None:
            self.state = State.FAILED

    def serve(self, loaded: LoadedModel) -> Batcher | None:
        """Be ready with what was loaded elsewhere.

        Returns the lanes of the version it replaces, if it does: they are to be stopped, and answer
        what was asked of them before they end.
        """
        settings, before = self.settings, self._serving
        limits = Limits(
            lanes=settings.lanes,
            max_tokens=settings.max_batch_tokens,
            max_padding=settings.max_padding,
            batches=loaded.engine.batches,
        )
        batcher = Batcher(loaded.engine, limits, metrics.observer(self.name))
        self._serving = _Serving(loaded, batcher, Admission(settings.queue_limits, batcher))
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
        return before.batcher if before else None

    def unload(self) -> Batcher | None:
        """Serve nothing any more; its lanes, if any, are to be stopped as :meth:`serve` says."""
        return self._end(State.UNLOADED)

    def check_queue(self, deadline: float | None = None, coming: int = 0) -> None:
        """Whether a request would be let in, before its body is looked at.

        Args:
            deadline: by ``time.perf_counter()``, when nobody will be waiting any more.
            coming: texts that will be in the queue before it.

        Raises:
            NotReadyError: the model is not loaded.
            OverloadedError: its queue is full.
            DeadlineError: that moment is over.
        """
        self._now.admission.check(deadline, coming)

    async def infer(self, request: Request, deadline: float | None = None) -> Answer:
        """Answer a V2 request; the event loop only waits.

        Args:
            request: what is asked.
            deadline: by ``time.perf_counter()``, when nobody will be waiting any more.

        Raises:
            InvalidRequestError: the request cannot be answered; says why.
            NotReadyError: the model is not loaded.
            TooLargeError: it brings too many texts.
            OverloadedError: the queue is full.
            DeadlineError: the deadline was over first.
        """
        now = self._now
        loaded = now.loaded
        engine = loaded.engine
        if codec.is_text(request):
            texts = codec.decode_texts(request, engine.task.inputs)
            outputs = await _answer(now, texts, request.parameters, deadline)
        else:
            tokens = codec.decode_tensors(request, engine)
            rows = await _run(now, tokens, len(tokens), deadline)
            outputs = engine.task.raw(rows, request.inputs[0].shape[1])
        # The protocol wants an id; it names a request, it keeps no secret.
        request_id = request.id or str(UUID(int=getrandbits(128), version=4))
        return Answer(self.name, loaded.version, request_id, codec.chosen(request.outputs, outputs))

    async def answer(
        self,
        asked: Texts | Sequence[Tokens],
        parameters: Parameters,
        deadline: float | None = None,
    ) -> Counted:
        """Answer texts, also those that are tokens already, and count their tokens.

        Further arguments and errors are those of :meth:`infer`.
        """
        now = self._now
        engine, task = now.loaded.engine, now.loaded.engine.task
        if not isinstance(asked, Texts):
            texts, tokens = Texts([""] * len(asked)), asked
        else:
            now.admission.admit(len(asked.texts), deadline)
            texts, wanted = asked, task.ask(asked, parameters)
            # Here and not in a lane, which would not say how many there were.
            (found,) = await asyncio.to_thread(engine.tokenize, [wanted])
            if isinstance(found, TextTooLongError):
                raise _too_long(found) from found
            tokens = found
        rows = await _run(now, tokens, len(tokens), deadline)
        return Counted(task.answer(texts, rows, parameters), sum(map(len, tokens)))

    async def predict(self, body: object, deadline: float | None = None) -> dict[str, Any]:
        """Answer a V1 request; arguments and errors are those of :meth:`infer`."""
        now = self._now
        task = now.loaded.engine.task
        parameters = v1.parameters_of(body)
        texts = v1.decode(body, parameters, task.inputs)
        return {"predictions": task.predictions(await _answer(now, texts, parameters, deadline))}

    def metadata(self) -> dict[str, Any]:
        """V2 model metadata.

        Raises:
            NotReadyError: the model is not loaded.
        """
        return {
            "name": self.name,
            "versions": [self.loaded.version],
            "platform": PLATFORM,
            "inputs": self.input_types(),
            "outputs": self.output_types(),
        }

    def input_types(self) -> list[dict[str, Any]]:
        """V2 metadata: texts first; the tensors are the other way to ask."""
        engine = self.loaded.engine
        names = engine.task.inputs
        texts = [name for name in (names.first, names.second) if name]
        return [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in texts] + [
            {"name": name, "datatype": "INT64", "shape": [-1, -1]} for name in engine.inputs
        ]

    def output_types(self) -> list[dict[str, Any]]:
        """V2 metadata: what texts are answered with, then what tensors are."""
        return self.loaded.engine.task.output_types

    def drain(self) -> None:
        """Say that no more is wanted; what comes all the same is still answered."""
        if self.ready:
            self.state = State.DRAINING

    def stop(self) -> None:
        """Answer what is queued, then end the lanes."""
        batcher = self._end(State.STOPPED)
        if batcher:
            batcher.stop()

    def _end(self, state: State) -> Batcher | None:
        ended, self._serving = self._serving, None
        self.state = state
        if ended is None:
            return None
        return ended.batcher


async def _answer(
    now: _Serving, texts: Texts, parameters: Parameters, deadline: float | None
) -> dict[str, NDArray[Any]]:
    task = now.loaded.engine.task
    asked = task.ask(texts, parameters)
    rows = await _run(now, asked, len(asked.texts), deadline)
    if task.per_token:
        # Milliseconds for a long text: nobody else's request should wait for them.
        return await asyncio.to_thread(task.answer, texts, rows, parameters)
    return task.answer(texts, rows, parameters)


async def _run(
    now: _Serving, ask: Texts | Sequence[Tokens], texts: int, deadline: float | None
) -> NDArray[Any]:
    now.admission.admit(texts, deadline)
    try:
        return await now.batcher.run(ask, deadline)
    except QuestionTooLongError as error:
        raise InvalidRequestError(str(error)) from error
    except TextTooLongError as error:
        raise _too_long(error) from error
    except InvalidArgument as error:
        raise InvalidRequestError(f"the model refuses these tensors: {error}") from error


def _too_long(error: TextTooLongError) -> InvalidRequestError:
    return InvalidRequestError(f"{error}, and truncation is false")

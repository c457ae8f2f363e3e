"""One served model: its state, and requests of any transport to answers. Owns the batcher."""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from random import getrandbits
from typing import TYPE_CHECKING, Any
from uuid import UUID

from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from predictor import codec, loading, metrics, v1
from predictor.batcher import Batcher
from predictor.errors import InvalidRequestError, NotReadyError
from predictor.protocol import Answer, Request
from predictor.scheduler import Limits
from storage_init.logs import event
from storage_init.runtime import QuestionTooLongError, TextTooLongError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from predictor.engine import Texts, Tokens
    from predictor.loading import LoadedModel
    from predictor.parameters import Parameters
    from predictor.settings import Settings
    from predictor.tasks import Task

PLATFORM = "onnxruntime_onnx"

log = logging.getLogger(__name__)


class State(str, Enum):
    """Where a model is between its process's start and end.

    A draining model answers what comes, but says that it is not ready.
    """

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"
    STOPPED = "stopped"


class ServedModel:
    """Serves one model; ready only after every check of its load."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.model_name
        self.state = State.LOADING
        self.settings = settings
        self._loaded: LoadedModel | None = None
        self._batcher: Batcher | None = None

    @property
    def ready(self) -> bool:
        return self.state is State.READY

    @property
    def loaded(self) -> LoadedModel:
        """What is served.

        Raises:
            NotReadyError: nothing is, at this moment.
        """
        if self._loaded is None or self.state not in (State.READY, State.DRAINING):
            raise NotReadyError(self.name)
        return self._loaded

    def load(self) -> None:
        """Load, verify, self-test and warm up; then serve.

        Raises:
            WarmstartError: names the check that failed; the model is not ready then.
        """
        try:
            loaded = loading.load(self.settings)
        except BaseException:
            self.fail()
            raise
        self.serve(loaded)

    def fail(self) -> None:
        """Its load has failed."""
        self.state = State.FAILED

    def serve(self, loaded: LoadedModel) -> None:
        """Be ready with what was loaded elsewhere."""
        settings = self.settings
        limits = Limits(
            lanes=settings.lanes,
            max_tokens=settings.max_batch_tokens,
            max_padding=settings.max_padding,
            batches=loaded.engine.batches,
        )
        batcher = Batcher(loaded.engine, limits, metrics.observer(self.name))
        self._batcher = batcher
        self._loaded, self.state = loaded, State.READY
        metrics.record_load(self.name, loaded)
        metrics.watch_queue(self.name, lambda: batcher.waiting)
        event(
            log,
            "model ready",
            model=self.name,
            version=loaded.version,
            variant=loaded.variant,
            warmup_p50_ms=round(loaded.warmup.quantile(0.5) * 1000, 2),
            **{f"{name}_seconds": round(s, 4) for name, s in loaded.phases.seconds.items()},
        )

    async def infer(self, request: Request) -> Answer:
        """Answer a V2 request; the event loop only waits.

        Raises:
            InvalidRequestError: the request cannot be answered; says why.
            NotReadyError: the model is not loaded.
        """
        loaded = self.loaded
        engine = loaded.engine
        if codec.is_text(request):
            texts = codec.decode_texts(request, engine.task.inputs)
            outputs = await self._answer(engine.task, texts, request.parameters)
        else:
            tokens = codec.decode_tensors(request, engine)
            length = request.inputs[0].shape[1]
            outputs = engine.task.raw(await self._run(tokens), length)
        # The protocol wants an id; it names a request, it keeps no secret.
        request_id = request.id or str(UUID(int=getrandbits(128), version=4))
        return Answer(self.name, loaded.version, request_id, codec.chosen(request.outputs, outputs))

    async def predict(self, body: object) -> dict[str, Any]:
        """Answer a V1 request.

        Raises:
            InvalidRequestError: the request cannot be answered; says why.
            NotReadyError: the model is not loaded.
        """
        task = self.loaded.engine.task
        parameters = v1.parameters_of(body)
        texts = v1.decode(body, parameters, task.inputs)
        return {"predictions": task.predictions(await self._answer(task, texts, parameters))}

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
        self.state = State.STOPPED
        if self._batcher:
            self._batcher.stop()

    async def _answer(
        self, task: Task, texts: Texts, parameters: Parameters
    ) -> dict[str, NDArray[Any]]:
        rows = await self._run(task.ask(texts, parameters))
        if task.per_token:
            # Milliseconds for a long text: nobody else's request should wait for them.
            return await asyncio.to_thread(task.answer, texts, rows, parameters)
        return task.answer(texts, rows, parameters)

    async def _run(self, ask: Texts | Sequence[Tokens]) -> NDArray[Any]:
        if self._batcher is None:
            raise NotReadyError(self.name)
        try:
            return await self._batcher.run(ask)
        except QuestionTooLongError as error:
            raise InvalidRequestError(str(error)) from error
        except TextTooLongError as error:
            raise InvalidRequestError(f"{error}, and truncation is false") from error
        except InvalidArgument as error:
            raise InvalidRequestError(f"the model refuses these tensors: {error}") from error

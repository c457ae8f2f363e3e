"""One version of a model as it is served: requests of any transport to answers. Owns its lanes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import getrandbits
from typing import TYPE_CHECKING, Any
from uuid import UUID

from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from predictor.errors import InvalidRequestError
from predictor.protocol import decode as codec
from predictor.protocol import v1
from predictor.protocol.messages import Answer, Request
from predictor.protocol.types import Texts
from predictor.serving.admission import Admission
from predictor.serving.batcher import Batcher
from predictor.serving.scheduler import Limits
from predictor.telemetry import metrics
from storage_init.running.runtime import QuestionTooLongError, TextTooLongError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from predictor.loading.load import LoadedModel
    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Tokens
    from predictor.settings import Settings

# The protocol's name for it.
PLATFORM = "onnx_onnxv1"


@dataclass(frozen=True)
class InferenceResult:
    """What a task answers, and the ``tokens`` that it was asked, special ones included."""

    outputs: dict[str, NDArray[Any]]
    tokens: int


class ModelVersion:
    """Answers for what was loaded, until it is stopped; a request keeps to the one it began with.

    ``loaded``: what it serves.
    """

    def __init__(self, settings: Settings, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._name = settings.model_name
        limits = Limits(
            lanes=settings.lanes,
            max_tokens=settings.max_batch_tokens,
            max_padding=settings.max_padding,
            batches=loaded.engine.batches,
        )
        self._batcher = Batcher(loaded.engine, limits, metrics.observer(self._name))
        self._admission = Admission(settings.queue_limits, self._batcher)

    @property
    def waiting(self) -> int:
        """Texts that no lane has taken yet."""
        return self._batcher.waiting

    def check_queue(self, deadline: float | None = None, coming: int = 0) -> None:
        """Whether a request would be let in, before its body is looked at.

        Args:
            deadline: by ``time.perf_counter()``, when nobody will be waiting any more.
            coming: texts that will be in the queue before it.

        Raises:
            OverloadedError: the queue is full.
            DeadlineError: that moment is over.
        """
        self._admission.check(deadline, coming)

    async def infer(self, request: Request, deadline: float | None = None) -> Answer:
        """Answer a V2 request; the event loop only waits.

        Args:
            request: what is asked.
            deadline: by ``time.perf_counter()``, when nobody will be waiting any more.

        Raises:
            InvalidRequestError: the request cannot be answered; says why.
            TooLargeError: it brings too many texts.
            OverloadedError: the queue is full.
            DeadlineError: the deadline was over first.
        """
        loaded, engine = self.loaded, self.loaded.engine
        if codec.is_text(request):
            texts = codec.decode_texts(request, engine.task.inputs)
            outputs = await self._outputs(texts, request.parameters, deadline)
        else:
            tokens = codec.decode_tensors(request, engine)
            rows = await self._run(tokens, len(tokens), deadline)
            outputs = engine.task.raw(rows, request.inputs[0].shape[1])
        # The protocol wants an id; it names a request, it keeps no secret.
        request_id = request.id or str(UUID(int=getrandbits(128), version=4))
        return Answer(
            self._name, loaded.version, request_id, codec.chosen(request.outputs, outputs)
        )

    async def predict(self, body: object, deadline: float | None = None) -> dict[str, Any]:
        """Answer a V1 request; arguments and errors are those of :meth:`infer`."""
        task = self.loaded.engine.task
        parameters = v1.parameters_of(body)
        texts = v1.decode(body, parameters, task.inputs)
        return {"predictions": task.predictions(await self._outputs(texts, parameters, deadline))}

    async def answer(
        self,
        asked: Texts | Sequence[Tokens],
        parameters: Parameters,
        deadline: float | None = None,
    ) -> InferenceResult:
        """Answer texts, also those that are tokens already, and count their tokens.

        Further arguments and errors are those of :meth:`infer`.

        Raises:
            StoppedError: it was stopped before the texts had their tokens.
        """
        engine, task = self.loaded.engine, self.loaded.engine.task
        if not isinstance(asked, Texts):
            texts, tokens = Texts([""] * len(asked)), asked
        else:
            self._admission.admit(len(asked.texts), deadline)
            texts, wanted = asked, task.ask(asked, parameters)
            # Here and not in a lane, which would not say how many there were.
            (found,) = await asyncio.to_thread(engine.tokenize, [wanted])
            if isinstance(found, TextTooLongError):
                raise _too_long(found) from found
            tokens = found
        rows = await self._run(tokens, len(tokens), deadline)
        return InferenceResult(task.answer(texts, rows, parameters), sum(map(len, tokens)))

    def metadata(self) -> dict[str, Any]:
        """V2 model metadata."""
        return {
            "name": self._name,
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

    def stop(self) -> None:
        """Answer what is queued, then end the lanes; blocks meanwhile."""
        self._batcher.stop()

    async def _outputs(
        self, texts: Texts, parameters: Parameters, deadline: float | None
    ) -> dict[str, NDArray[Any]]:
        task = self.loaded.engine.task
        asked = task.ask(texts, parameters)
        rows = await self._run(asked, len(asked.texts), deadline)
        if task.per_token:
            # Milliseconds for a long text: nobody else's request should wait for them.
            return await asyncio.to_thread(task.answer, texts, rows, parameters)
        return task.answer(texts, rows, parameters)

    async def _run(
        self, ask: Texts | Sequence[Tokens], texts: int, deadline: float | None
    ) -> NDArray[Any]:
        self._admission.admit(texts, deadline)
        try:
            return await self._batcher.run(ask, deadline)
        except QuestionTooLongError as error:
            raise InvalidRequestError(str(error)) from error
        except TextTooLongError as error:
            raise _too_long(error) from error
        except InvalidArgument as error:
            raise InvalidRequestError(f"the model refuses these tensors: {error}") from error


def _too_long(error: TextTooLongError) -> InvalidRequestError:
    return InvalidRequestError(f"{error}, and truncation is false")

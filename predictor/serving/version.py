"""One loaded version of a model: answers the requests of every transport over its own lanes."""

from __future__ import annotations

import asyncio
import logging
import weakref
from dataclasses import dataclass
from random import getrandbits
from threading import Timer
from typing import TYPE_CHECKING, Any, TypeVar

from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from predictor.errors import InvalidRequestError, TooLargeError
from predictor.loading.alone import open_alone, threads_alone
from predictor.protocol import decode, v1
from predictor.protocol.messages import Answer, Request
from predictor.protocol.types import Texts
from predictor.serving.admission import Admission
from predictor.serving.batcher import Batcher
from predictor.serving.scheduler import Limits
from predictor.telemetry import metrics
from storage_init.base.errors import WarmstartError
from storage_init.running.tokenizer import QuestionTooLongError, TextTooLongError, UncutTextError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from predictor.engine.tasks.base import Task
    from predictor.loading.load import LoadedModel
    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Outputs, Rows, Tokens
    from predictor.serving.response_cache import ResponseCache
    from predictor.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")
# The V2 protocol's name for ONNX models.
PLATFORM = "onnx_onnxv1"
# The first requests have the CPUs to themselves.
FIRST_SECONDS = 1.0
# A second session opens in less, unless its storage hangs.
OPENING_SECONDS = 10.0


@dataclass(frozen=True)
class InferenceResult:
    """What a model answered; ``tokens``: number of input tokens, special tokens included."""

    model: str
    task: Task
    outputs: Outputs
    tokens: int


class ModelVersion:
    """Answers requests with one loaded model until it is stopped."""

    def __init__(self, settings: Settings, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._name = settings.model_name
        self._max_seconds = settings.max_inference_seconds
        limits = Limits(
            lanes=settings.lanes,
            max_tokens=settings.max_batch_tokens,
            max_padding=settings.max_padding,
            batches=loaded.engine.batches,
            max_length=loaded.engine.tokenizer.max_length,
            max_request_tokens=settings.max_request_tokens,
            longest=loaded.engine.room.longest if loaded.engine.room else None,
        )
        self._batcher = Batcher(loaded.engine, limits, metrics.observer(self._name))
        self._admission = Admission(settings, self._batcher)
        self._cache = self._make_cache(settings.response_cache_bytes)
        self._beside = asyncio.Lock()
        # A weak reference, so that a version that is stopped before is freed at once.
        self._later = Timer(FIRST_SECONDS, _give_threads, (weakref.ref(self), settings))
        if threads_alone(loaded, settings):
            self._later.daemon = True
            self._later.start()

    @property
    def waiting(self) -> int:
        """Texts that no lane has taken yet."""
        return self._batcher.waiting

    @property
    def cached_bytes(self) -> int:
        """Bytes of the answers that are kept."""
        return self._cache.bytes if self._cache else 0

    @property
    def live(self) -> bool:
        """Whether each lane works or waits, and none is stuck."""
        return self._batcher.longest_step <= self._max_seconds

    def check_queue(self, deadline: float | None = None, coming: int = 0) -> None:
        """Check whether a request would be admitted; as :meth:`Admission.check`.

        With a response cache only the body tells whether the request must wait at all.
        """
        if self._cache is None:
            self._admission.check(deadline, coming)

    async def infer(self, request: Request, deadline: float | None = None) -> Answer:
        """Answer a V2 request; the event loop only waits.

        Args:
            request: texts or tensors.
            deadline: when the client gives up, by ``time.perf_counter()``.

        Raises:
            InvalidRequestError: says what is wrong with the request.
            TooLargeError: the request has too many texts.
            OverloadedError: the queue is full.
            DeadlineError: the deadline passed first.
            StoppedError: the version was stopped before.
        """
        loaded, engine = self.loaded, self.loaded.engine
        decode.check_id(request)
        if decode.is_text(request):
            texts = decode.decode_texts(request, engine.task.inputs)
            outputs = (await self.answer(texts, request.parameters, deadline)).outputs
        else:
            tokens = decode.decode_tensors(request, engine)
            rows, _ = await self._run(tokens, deadline)
            outputs = engine.task.raw_outputs(rows, request.inputs[0].shape[1])
        request_id = request.id or _new_id()
        known = [each["name"] for each in self.output_types()]
        wanted = decode.select_outputs(request.outputs, outputs, known)
        return Answer(self._name, loaded.version, request_id, wanted)

    async def predict(self, body: object, deadline: float | None = None) -> dict[str, Any]:
        """Answer a V1 request; arguments and errors are those of :meth:`infer`."""
        task = self.loaded.engine.task
        parameters = v1.parameters_of(body)
        texts = v1.decode(body, parameters, task.inputs)
        result = await self.answer(texts, parameters, deadline)
        return {"predictions": task.predictions(result.outputs)}

    async def answer(
        self,
        request: Texts | Sequence[Tokens],
        parameters: Parameters,
        deadline: float | None = None,
    ) -> InferenceResult:
        """Answer texts, or the tokens of texts, and count the tokens.

        ``deadline`` and errors are those of :meth:`infer`.
        """
        task = self.loaded.engine.task
        if isinstance(request, Texts):
            texts, prepared = request, task.preprocess(request, parameters)
            rows, tokens = await self._rows(prepared, deadline)
        else:
            texts = Texts([""] * len(request))
            rows, tokens = await self._run(request, deadline)
        if task.per_token:
            # It takes milliseconds for a long text, which would block the event loop.
            outputs = await asyncio.to_thread(task.postprocess, texts, rows, parameters)
        else:
            outputs = task.postprocess(texts, rows, parameters)
        return InferenceResult(self._name, task, outputs, sum(tokens))

    async def run_beside(self, work: Callable[[], T], deadline: float | None = None) -> T:
        """Run a small piece of work that needs no lane, one at a time.

        Raises:
            OverloadedError: a request would wait too long.
            DeadlineError: the deadline passed before its turn.
        """
        self._admission.check(deadline)
        async with self._beside:
            self._admission.check(deadline)
            return await asyncio.to_thread(work)

    def metadata(self) -> dict[str, Any]:
        """V2 model metadata."""
        return {
            "name": self._name,
            "versions": [self.loaded.version],
            "platform": PLATFORM,
            "inputs": self.input_types(),
            "outputs": self.output_types(),
        }

    def label_promise(self) -> dict[str, Any]:
        """V2 model metadata that only JSON has room for: how rarely a label may differ."""
        choice = self.loaded.choice
        promise = choice.label_promise if choice else None
        return {"properties": {"referee": promise}} if promise else {}

    def input_types(self) -> list[dict[str, Any]]:
        """V2 metadata of the texts that a request may bring, then of the tensors."""
        engine = self.loaded.engine
        texts = engine.task.inputs.names
        return [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in texts] + [
            {"name": name, "datatype": "INT64", "shape": [-1, -1]} for name in engine.inputs
        ]

    def output_types(self) -> list[dict[str, Any]]:
        """V2 metadata of the outputs for texts, then of those for tensors."""
        return self.loaded.engine.task.output_types

    def stop(self) -> None:
        """Answer the queued requests, then end the lanes; blocks until they have ended."""
        self._later.cancel()
        if self._later.is_alive():
            # Python's end would abort the process while this thread is inside ONNX Runtime.
            self._later.join(OPENING_SECONDS)
        self._batcher.stop()

    def give_threads(self, settings: Settings) -> None:
        """Let a request that is alone run on the CPUs of all lanes, if that is possible."""
        try:
            self._batcher.alone = open_alone(self.loaded, settings)
        except WarmstartError as error:
            log.warning("a lone request runs on the threads of one lane: %s", error)

    async def _rows(self, request: Texts, deadline: float | None) -> tuple[Rows, Sequence[int]]:
        """Return a request's rows and their tokens, from the cache where it has them."""
        if self._cache is None:
            return await self._run(request, deadline)
        self._admission.check_texts(len(request.texts))
        return await self._cache.rows(request, deadline)

    def _make_cache(self, most: int) -> ResponseCache | None:
        if not most:
            return None
        # Only then, because most servers have none.
        from predictor.serving.response_cache import ResponseCache

        series = metrics.cache_series(self._name)
        return ResponseCache(most, self._run, series)

    async def _run(
        self, request: Texts | Sequence[Tokens], deadline: float | None
    ) -> tuple[Rows, Sequence[int]]:
        """Return a request's rows and the tokens of each."""
        texts = len(request.texts if isinstance(request, Texts) else request)
        size = self._batcher.estimate(request)
        self._admission.admit(texts, size, deadline)
        try:
            return await self._batcher.run_counting(request, deadline, size)
        except QuestionTooLongError as error:
            raise InvalidRequestError(str(error)) from error
        except TextTooLongError as error:
            raise _too_long(error) from error
        except UncutTextError as error:
            raise TooLargeError(str(error)) from error
        except InvalidArgument as error:
            raise InvalidRequestError(f"the model refuses these tensors: {error}") from error


def _new_id() -> str:
    """A UUID of version 4: the protocol requires an id. It is no secret, so it may be quick.

    Source: RFC 9562, section 5.4.
    """
    bits = f"{getrandbits(128):032x}"
    variant = "89ab"[getrandbits(2)]
    return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-{variant}{bits[17:20]}-{bits[20:]}"


def _give_threads(version: weakref.ref[ModelVersion], settings: Settings) -> None:
    if (found := version()) is not None:
        found.give_threads(settings)


def _too_long(error: TextTooLongError) -> InvalidRequestError:
    return InvalidRequestError(f"{error}, and truncation is false")

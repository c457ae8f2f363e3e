"""PreparedModel: the KServe model. It decodes, hands to a lane and encodes; the rest is behind."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kserve import InferRequest, InferResponse, Model
from kserve.errors import InvalidInput, ModelNotReady
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from predictor import codec, metrics, v1
from predictor.loading import LoadedModel, load
from storage_init.logs import event
from storage_init.runtime import TextTooLongError

if TYPE_CHECKING:
    from predictor.settings import Settings

log = logging.getLogger(__name__)


class PreparedModel(Model):
    """Serves one prepared model; ready only after every check of ``load``."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.model_name)
        self._settings = settings
        self._loaded: LoadedModel | None = None
        self._lanes = ThreadPoolExecutor(settings.lanes, thread_name_prefix="lane")

    def load(self) -> bool:
        """Load, verify, self-test and warm up.

        Raises:
            WarmstartError: names the check that failed; the model is not ready then.
        """
        loaded = load(self._settings)
        metrics.record_load(self.name, loaded)
        event(
            log,
            "model ready",
            model=self.name,
            version=loaded.version,
            variant=loaded.variant,
            warmup_p50_ms=round(loaded.warmup.quantile(0.5) * 1000, 2),
            **{f"{name}_seconds": round(s, 4) for name, s in loaded.phases.seconds.items()},
        )
        self._loaded = loaded
        self.ready = True
        return True

    def start(self) -> None:
        """KServe's own would call any model ready."""

    def get_input_types(self) -> list[dict[str, Any]]:
        """Texts first; the tensors are the other way to ask."""
        names = ["text", codec.PAIR_INPUT] if self._model.engine.task.takes_pairs else ["text"]
        texts = [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in names]
        return texts + [
            {"name": name, "datatype": "INT64", "shape": [-1, -1]}
            for name in self._model.engine.inputs
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """What texts are answered with, then what tensors are."""
        return self._model.engine.task.output_types

    async def predict(
        self,
        payload: InferRequest | dict[str, Any],
        headers: dict[str, str] | None = None,  # noqa: ARG002 - KServe's signature
        response_headers: dict[str, str] | None = None,  # noqa: ARG002
    ) -> InferResponse | dict[str, Any]:
        """Answer a V2 or V1 request; the event loop only waits.

        Raises:
            InvalidInput: the request cannot be answered; says why.
            ModelNotReady: the model is not loaded.
        """
        if not self.ready:
            raise ModelNotReady(self.name)
        answer = self._answer_v2 if isinstance(payload, InferRequest) else self._answer_v1
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._lanes, answer, payload)
        except TextTooLongError as error:
            raise InvalidInput(f"{error}, and truncation is false") from error

    def stop(self) -> None:
        """Let go of the lanes once what runs is done."""
        super().stop()
        self._lanes.shutdown(wait=False)

    def _answer_v2(self, request: InferRequest) -> InferResponse:
        loaded = self._model
        parameters = codec.parameters_of(request)
        engine = loaded.engine
        if codec.is_text(request):
            texts = codec.decode_texts(request, parameters, takes_pairs=engine.task.takes_pairs)
            outputs = engine.task.answer(engine.run_texts(texts), parameters)
        else:
            feeds = codec.decode_tensors(request, engine)
            try:
                outputs = {engine.task.raw_name: engine.run_tensors(feeds)}
            except InvalidArgument as error:
                raise InvalidInput(f"the model refuses these tensors: {error}") from error
        return codec.encode(request, outputs, loaded.version)

    def _answer_v1(self, body: dict[str, Any]) -> dict[str, Any]:
        engine = self._model.engine
        parameters = v1.parameters_of(body)
        texts = v1.decode(body, parameters, takes_pairs=engine.task.takes_pairs)
        return v1.encode(engine.task.answer(engine.run_texts(texts), parameters))

    @property
    def _model(self) -> LoadedModel:
        if self._loaded is None or not self.ready:
            raise ModelNotReady(self.name)
        return self._loaded

"""PreparedModel: a model for KServe's ModelServer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import kserve
from fastapi import HTTPException
from grpc import StatusCode
from grpc_interceptor.exceptions import GrpcException
from kserve import InferRequest, InferResponse
from kserve.errors import InvalidInput, ModelNotReady

from predictor.errors import InvalidRequestError, NotReadyError, RequestError
from predictor.kserve_model import codec as kserve_codec
from predictor.model_metrics import MODELS
from predictor.serving.model import Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from predictor.settings import Settings


class PreparedModel(kserve.Model):
    """Serves one prepared model; ready only after every check of ``load``.

    ``python -m predictor`` answers inference itself and uses this class for KServe's other routes.
    ``kserve.ModelServer().start([model])`` serves it in your own server.
    """

    def __init__(self, settings: Settings, served: Model | None = None) -> None:
        super().__init__(settings.model_name)
        self._served = served or _own_model(settings)
        self.ready = self._served.ready

    def load(self) -> bool:
        """Load, verify, self-test and warm up.

        Raises:
            WarmstartError: names the check that failed; the model is not ready.
        """
        self._served.load()
        self.ready = True
        return True

    def start(self) -> None:
        """Replaces KServe's method, which makes any model ready."""

    async def healthy(self) -> bool:
        return self._served.ready

    def get_input_types(self) -> list[dict[str, Any]]:
        """V2 metadata of the texts, then of the tensors that a request may send instead."""
        with _kserve_errors():
            return self._served.current.input_types()

    def get_output_types(self) -> list[dict[str, Any]]:
        """V2 metadata of the outputs for texts, then of the outputs for tensors."""
        with _kserve_errors():
            return self._served.current.output_types()

    async def predict(
        self,
        payload: InferRequest | dict[str, Any],
        headers: dict[str, str] | None = None,  # noqa: ARG002 - KServe's signature
        response_headers: dict[str, str] | None = None,  # noqa: ARG002
    ) -> InferResponse | dict[str, Any]:
        """Answer a V2 or V1 request; the event loop only waits.

        Raises:
            InvalidInput: the request is wrong; says why.
            ModelNotReady: the model is not loaded.
            HTTPException: another error, with the status that our own routes give it.
            GrpcException: the same over gRPC.
        """
        with _kserve_errors(over_grpc=isinstance(payload, InferRequest) and payload.from_grpc):
            if not isinstance(payload, InferRequest):
                return await self._served.current.predict(payload)
            answer = await self._served.current.infer(kserve_codec.decode(payload))
            return kserve_codec.encode(payload, answer)

    def stop(self) -> None:
        """Answer the queued requests, then end the lanes."""
        super().stop()
        self._served.stop()


def _own_model(settings: Settings) -> Model:
    """A model for your own server, which also exports the model's metrics."""
    served = Model(settings)
    MODELS.watch(WeakValueDictionary({served.name: served}))
    return served


@contextmanager
def _kserve_errors(*, over_grpc: bool = False) -> Iterator[None]:
    """Raise errors that KServe's server turns into our statuses and codes."""
    try:
        yield
    except RequestError as error:
        if over_grpc:
            raise GrpcException(str(error), StatusCode[error.grpc_code]) from error
        if isinstance(error, InvalidRequestError):
            raise InvalidInput(str(error)) from error
        if isinstance(error, NotReadyError):
            raise ModelNotReady(error.name) from error
        after = error.retry_after
        headers = None if after is None else {"Retry-After": str(after)}
        raise HTTPException(error.status, str(error), headers) from error

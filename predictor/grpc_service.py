"""The V2 protocol's gRPC service over served models, with the status codes that it promises."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc

from predictor import grpc_codec
from predictor.errors import RequestError, UnknownModelError
from predictor.kserve_protobuf import pb2, pb2_grpc
from predictor.metadata import server_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.served import ServedModel

OPTIONS = (
    # As much as KServe's own server takes; gRPC's default is half of it.
    ("grpc.max_receive_message_length", 8 * 1024 * 1024),
    # Two servers on one port would take turns unnoticed.
    ("grpc.so_reuseport", 0),
)

log = logging.getLogger(__name__)


class InferenceService(pb2_grpc.GRPCInferenceServiceServicer):
    """Answers for ``models`` by name."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self._models = models

    async def ServerLive(self, _: Any, __: Any) -> Any:  # noqa: N802 - the protocol's names
        return pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, _: Any, __: Any) -> Any:  # noqa: N802
        return pb2.ServerReadyResponse(ready=all(m.ready for m in self._models.values()))

    async def ServerMetadata(self, _: Any, __: Any) -> Any:  # noqa: N802
        return pb2.ServerMetadataResponse(**server_metadata())

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        model = await self._find(request.name, request.version, context)
        return pb2.ModelReadyResponse(ready=model.ready)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        model = await self._find(request.name, request.version, context)
        try:
            return pb2.ModelMetadataResponse(**model.metadata())
        except RequestError as error:
            return await _abort(context, error)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        model = await self._find(request.model_name, request.model_version, context)
        try:
            answer = await model.infer(grpc_codec.decode(request))
        except RequestError as error:
            return await _abort(context, error)
        except Exception as error:
            log.exception("%s failed", request.model_name)
            return await _abort(context, RequestError(f"the inference failed: {error}"))
        return grpc_codec.encode(answer, raw=bool(request.raw_input_contents))

    async def _find(self, name: str, version: str, context: Any) -> ServedModel:
        model = self._models.get(name)
        if model is None:
            await _abort(context, UnknownModelError(name))
        elif version and model.ready and version != model.loaded.version:
            await _abort(context, UnknownModelError(name, version))
        return model  # type: ignore[return-value]


async def _abort(context: Any, error: RequestError) -> None:
    await context.abort(grpc.StatusCode[error.grpc_code], str(error))


def grpc_server(models: Mapping[str, ServedModel], port: int) -> Any:
    """A server that listens on ``port`` once it is started.

    Raises:
        RuntimeError: the port is taken.
    """
    server = grpc.aio.server(options=OPTIONS)
    pb2_grpc.add_GRPCInferenceServiceServicer_to_server(InferenceService(models), server)
    server.add_insecure_port(f"[::]:{port}")
    return server

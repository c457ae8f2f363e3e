"""The V2 protocol's gRPC service, with the protocol's status codes."""

from __future__ import annotations

import logging
import time
from functools import wraps
from typing import TYPE_CHECKING, Any

import grpc

from predictor.errors import PortError, RequestError, StoppingError
from predictor.grpc import codec as grpc_codec
from predictor.grpc.lazy_service import lazy_services
from predictor.grpc.protobuf import pb2, pb2_grpc
from predictor.grpc.triton import TritonMethods, messages, model_named
from predictor.protocol.metadata import server_metadata
from predictor.protocol.triton import model_config, model_statistics
from predictor.telemetry.requests import GRPC_V2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from predictor.serving.server_state import ServerState
    from predictor.telemetry.requests import RequestRecording

# The metadata that tells a client's retry policy when to retry (gRFC A6).
PUSHBACK = "grpc-retry-pushback-ms"

log = logging.getLogger(__name__)


def _refusing(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Let a method end with the status code of a RequestError that it raises."""

    @wraps(method)
    async def call(self: InferenceService, request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except RequestError as error:
            after = error.retry_after
            metadata = () if after is None else ((PUSHBACK, str(after * 1000)),)
            await context.abort(grpc.StatusCode[error.grpc_code], str(error), metadata)

    return call


class InferenceService(pb2_grpc.GRPCInferenceServiceServicer):
    """Answers gRPC requests for the models of a server."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._models = state.models

    async def ServerLive(self, _: Any, __: Any) -> Any:  # noqa: N802 - the protocol's names
        return pb2.ServerLiveResponse(live=self._models.live)

    async def ServerReady(self, _: Any, __: Any) -> Any:  # noqa: N802
        return pb2.ServerReadyResponse(ready=self._models.ready)

    async def ServerMetadata(self, _: Any, __: Any) -> Any:  # noqa: N802
        return pb2.ServerMetadataResponse(**server_metadata())

    @_refusing
    async def ModelReady(self, request: Any, _: Any) -> Any:  # noqa: N802
        ready = self._models.find(request.name, request.version).ready
        return pb2.ModelReadyResponse(ready=ready)

    @_refusing
    async def ModelMetadata(self, request: Any, _: Any) -> Any:  # noqa: N802
        metadata = self._models.find(request.name, request.version).current.metadata()
        return pb2.ModelMetadataResponse(**metadata)

    @_refusing
    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        state = self._state
        state.in_flight.begin()
        try:
            headers = context.invocation_metadata() if state.recorder.reads_headers else ()
            with (
                state.recorder.begin(request.model_name, GRPC_V2, headers) as recording,
                state.bodies.holding(request.ByteSize()),
            ):
                return await self._infer(request, context, recording)
        except RequestError:
            raise
        except Exception as error:
            log.exception("%s failed", request.model_name)
            raise RequestError(f"the inference failed: {error}") from error
        finally:
            state.in_flight.end()

    @_refusing
    async def RepositoryModelLoad(self, request: Any, _: Any) -> Any:  # noqa: N802
        name = model_named(request)
        await self._models.load(name)
        return pb2.RepositoryModelLoadResponse(model_name=name, isLoaded=True)

    @_refusing
    async def RepositoryModelUnload(self, request: Any, _: Any) -> Any:  # noqa: N802
        name = model_named(request)
        await self._models.unload(name)
        return pb2.RepositoryModelUnloadResponse(model_name=name, isUnloaded=True)

    @_refusing
    async def RepositoryIndex(self, request: Any, _: Any) -> Any:  # noqa: N802
        rows = self._models.index(ready_only=request.ready)
        return messages()["RepositoryIndexResponse"](models=rows)

    @_refusing
    async def ModelConfig(self, request: Any, _: Any) -> Any:  # noqa: N802
        metadata = self._models.find(request.name, request.version).current.metadata()
        return messages()["ModelConfigResponse"](config=model_config(metadata))

    @_refusing
    async def ModelStatistics(self, request: Any, _: Any) -> Any:  # noqa: N802
        if request.name:
            asked = [self._models.find(request.name, request.version)]
        else:
            asked = [model for model in self._models.values() if model.is_loaded]
        rows = [model_statistics(model.name, model.loaded.version) for model in asked]
        return messages()["ModelStatisticsResponse"](model_stats=rows)

    async def _infer(self, request: Any, context: Any, recording: RequestRecording) -> Any:
        if self._state.in_flight.rejecting:
            raise StoppingError
        model = self._models.find(request.model_name, request.model_version)
        left = context.time_remaining()
        deadline = None if left is None else time.perf_counter() + left
        # Checked before the tensors are decoded, so that a refusal costs little.
        model.current.check_queue(deadline)
        recording.id = request.id
        answer = await model.current.infer(grpc_codec.decode(request), deadline)
        recording.answered(answer.id)
        return grpc_codec.encode(answer, raw=bool(request.raw_input_contents))


def grpc_server(state: ServerState, port: int) -> Any:
    """A server that listens on ``port`` on all addresses once it is started.

    Raises:
        PortError: the port is taken.
    """
    options = (
        # gRPC itself refuses longer messages.
        ("grpc.max_receive_message_length", state.bodies.each),
        # Without this, two servers on one port would take turns unnoticed.
        ("grpc.so_reuseport", 0),
    )
    server = grpc.aio.server(options=options)
    service = InferenceService(state)
    pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_generic_rpc_handlers([TritonMethods(service), *lazy_services(state.models)])
    try:
        server.add_insecure_port(f"[::]:{port}")
    except RuntimeError as error:
        raise PortError(f"cannot listen on port {port} for gRPC: {error}") from error
    return server

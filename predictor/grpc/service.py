"""The V2 protocol's gRPC service over served models, with the status codes that it promises."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import grpc

from predictor.errors import RequestError, StoppingError, UnknownModelError
from predictor.grpc import codec as grpc_codec
from predictor.grpc.extras import extra_services
from predictor.grpc.protobuf import pb2, pb2_grpc
from predictor.protocol.body_budget import BodyBudget
from predictor.protocol.metadata import server_metadata
from predictor.serving.in_flight import InFlight
from predictor.settings import Settings
from predictor.telemetry.requests import GRPC_V2, RequestRecorder, RequestRecording

if TYPE_CHECKING:
    from predictor.serving.model import Model
    from predictor.serving.repository import Repository

# By which a server tells a client's retry policy when to ask again (gRFC A6).
PUSHBACK = "grpc-retry-pushback-ms"

log = logging.getLogger(__name__)


class InferenceService(pb2_grpc.GRPCInferenceServiceServicer):
    """Answers for ``models`` by name; ``in_flight`` and ``bodies`` note what is under way."""

    def __init__(
        self, models: Repository, in_flight: InFlight, bodies: BodyBudget, recorder: RequestRecorder
    ) -> None:
        self._models = models
        self._in_flight = in_flight
        self._bodies = bodies
        self._recorder = recorder

    async def ServerLive(self, _: Any, __: Any) -> Any:  # noqa: N802 - the protocol's names
        return pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, _: Any, __: Any) -> Any:  # noqa: N802
        return pb2.ServerReadyResponse(ready=self._models.ready)

    async def ServerMetadata(self, _: Any, __: Any) -> Any:  # noqa: N802
        return pb2.ServerMetadataResponse(**server_metadata())

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            ready = self._find(request.name, request.version).ready
        except RequestError as error:
            return await _abort(context, error)
        return pb2.ModelReadyResponse(ready=ready)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            metadata = self._find(request.name, request.version).current.metadata()
        except RequestError as error:
            return await _abort(context, error)
        return pb2.ModelMetadataResponse(**metadata)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._in_flight.begin()
        try:
            headers = self._headers(context)
            with (
                self._recorder.begin(request.model_name, GRPC_V2, headers) as exchange,
                self._bodies.holding(request.ByteSize()),
            ):
                return await self._infer(request, context, exchange)
        except RequestError as error:
            return await _abort(context, error)
        except Exception as error:
            log.exception("%s failed", request.model_name)
            return await _abort(context, RequestError(f"the inference failed: {error}"))
        finally:
            self._in_flight.end()

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = request.model_name
        try:
            await self._models.load(name)
        except RequestError as error:
            return await _abort(context, error)
        return pb2.RepositoryModelLoadResponse(model_name=name, isLoaded=True)

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = request.model_name
        try:
            await self._models.unload(name)
        except RequestError as error:
            return await _abort(context, error)
        return pb2.RepositoryModelUnloadResponse(model_name=name, isUnloaded=True)

    async def _infer(self, request: Any, context: Any, exchange: RequestRecording) -> Any:
        if self._in_flight.rejecting:
            raise StoppingError
        model = self._find(request.model_name, request.model_version)
        left = context.time_remaining()
        deadline = None if left is None else time.perf_counter() + left
        # Before the tensors are looked at: who would be refused all the same costs little.
        model.current.check_queue(deadline)
        exchange.id = request.id
        answer = await model.current.infer(grpc_codec.decode(request), deadline)
        exchange.answered(answer.id)
        return grpc_codec.encode(answer, raw=bool(request.raw_input_contents))

    def _headers(self, context: Any) -> Any:
        return context.invocation_metadata() if self._recorder.reads_headers else ()

    def _find(self, name: str, version: str) -> Model:
        model = self._models.get(name)
        if model is None:
            raise UnknownModelError(name)
        if version and model.ready and version != model.loaded.version:
            raise UnknownModelError(name, version)
        return model


async def _abort(context: Any, error: RequestError) -> None:
    after = error.retry_after
    metadata = () if after is None else ((PUSHBACK, str(after * 1000)),)
    await context.abort(grpc.StatusCode[error.grpc_code], str(error), metadata)


def grpc_server(
    models: Repository,
    port: int,
    in_flight: InFlight | None = None,
    bodies: BodyBudget | None = None,
    recorder: RequestRecorder | None = None,
) -> Any:
    """A server that listens on ``port`` once it is started.

    Args:
        models: what is served.
        port: on all addresses.
        in_flight: notes what is under way.
        bodies: how many bytes there may be; of one message gRPC itself refuses more.
        recorder: where inference requests begin and end.

    Raises:
        RuntimeError: the port is taken.
    """
    bodies = bodies or BodyBudget(Settings.max_body_bytes, Settings.max_pending_bytes)
    options = (
        ("grpc.max_receive_message_length", bodies.each),
        # Two servers on one port would take turns unnoticed.
        ("grpc.so_reuseport", 0),
    )
    server = grpc.aio.server(options=options)
    service = InferenceService(
        models, in_flight or InFlight(), bodies, recorder or RequestRecorder(models)
    )
    pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_generic_rpc_handlers(extra_services(models))
    server.add_insecure_port(f"[::]:{port}")
    return server

"""Health and reflection for gRPC clients, over a real channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from benchmarks.harness.process import free_port
from predictor.grpc.service import grpc_server
from predictor.serving.model import Model, State
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

SECONDS = 10
Status = health_pb2.HealthCheckResponse
ALL = ("", "inference.GRPCInferenceService")


class Models(Repository):
    """A repository that a test can add a model to."""

    def add(self, name: str, model: Model) -> None:
        self._models[name] = model


def ask(models: Repository, call: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        port = free_port()
        server = grpc_server(ServerState(models), port)
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return await asyncio.wait_for(call(channel), SECONDS)
        finally:
            await server.stop(None)

    return asyncio.run(run())


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """Two models; one is ready."""
    models = [Model(Settings(name, tmp_path)) for name in ("a", "b")]
    made = Models(models, Settings())
    made["a"].state = State.READY
    return made


def test_a_ready_model_is_serving_and_so_is_the_server_once_all_are_ready(
    models: Models,
) -> None:
    async def call(channel: Any) -> list[int]:
        stub = health_pb2_grpc.HealthStub(channel)

        async def status(service: str) -> int:
            request = health_pb2.HealthCheckRequest(service=service)
            return int((await stub.Check(request)).status)

        before = [await status(service) for service in ("a", "b", *ALL)]
        models["b"].state = State.READY
        return before + [await status(service) for service in ("a", "b", *ALL)]

    serving, not_serving = Status.SERVING, Status.NOT_SERVING
    assert ask(models, call) == [serving, not_serving, not_serving, not_serving] + [serving] * 4


def test_an_unknown_model_is_not_found(models: Models) -> None:
    async def call(channel: Any) -> None:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="c"))

    with pytest.raises(grpc.aio.AioRpcError) as error:
        ask(models, call)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert error.value.details() == "there is no model c here"


def test_a_watch_reports_each_change_and_ends_with_the_server(
    models: Models,
) -> None:
    async def call(channel: Any) -> list[int]:
        told = []
        request = health_pb2.HealthCheckRequest(service="b")
        states = iter([State.READY, State.DRAINING])
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(request):
            told.append(answer.status)
            models["b"].state = next(states, State.DRAINING)
        return told

    assert ask(models, call) == [Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]


def test_a_watch_of_an_unknown_model_reports_when_the_model_is_added(
    models: Models,
) -> None:
    async def call(channel: Any) -> list[int]:
        stream = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service="c")
        )
        told = [(await stream.read()).status]
        models.add("c", models["a"])
        return [*told, (await stream.read()).status]

    assert ask(models, call) == [Status.SERVICE_UNKNOWN, Status.SERVING]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services_and_describes_inference(
    models: Models, version: str
) -> None:
    async def call(channel: Any) -> tuple[list[str], int]:
        method = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        symbol = "inference.GRPCInferenceService"
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol),
        ]
        listed, described = [answer async for answer in method(iter(requests))]
        names = [service.name for service in listed.list_services_response.service]
        return names, len(described.file_descriptor_response.file_descriptor_proto)

    names, files = ask(models, call)
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(names)
    assert files >= 1

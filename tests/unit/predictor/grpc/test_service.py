"""The gRPC service with a real model and a real channel: answers and status codes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from benchmarks.harness.process import free_port
from predictor.grpc.protobuf import pb2, pb2_grpc
from predictor.grpc.service import grpc_server
from predictor.serving.model import Model
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

TEXTS = ["the film was good", "a bad book"]


def ask(served: Model, call: Callable[[Any], Awaitable[Any]]) -> Any:
    """The result of one call, in its own event loop."""

    async def run() -> Any:
        port = free_port()
        server = grpc_server(ServerState(Repository([served], served.settings)), port)
        await server.start()
        options = [("grpc.max_receive_message_length", -1)]
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
                return await call(pb2_grpc.GRPCInferenceServiceStub(channel))
        finally:
            await server.stop(None)

    return asyncio.run(run())


def refused(served: Model, call: Callable[[Any], Awaitable[Any]]) -> tuple[Any, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        ask(served, call)
    return error.value.code(), error.value.details()


@pytest.fixture
def loading(tmp_path: Path) -> Model:
    return Model(Settings("m", tmp_path))


def infer_request(*texts: str, name: str = "m", version: str = "", **fields: Any) -> Any:
    request = pb2.ModelInferRequest(model_name=name, model_version=version, **fields)
    tensor = request.inputs.add(name="text", datatype="BYTES", shape=[len(texts)])
    tensor.contents.bytes_contents.extend(text.encode() for text in texts)
    return request


def test_the_server_and_the_model_have_metadata(served: Model) -> None:
    async def call(stub: Any) -> Any:
        return (
            await stub.ServerLive(pb2.ServerLiveRequest()),
            await stub.ServerReady(pb2.ServerReadyRequest()),
            await stub.ServerMetadata(pb2.ServerMetadataRequest()),
            await stub.ModelReady(pb2.ModelReadyRequest(name="m", version=served.loaded.version)),
            await stub.ModelMetadata(pb2.ModelMetadataRequest(name="m")),
        )

    live, ready, server, model_ready, metadata = ask(served, call)
    assert (live.live, ready.ready, model_ready.ready) == (True, True, True)
    assert server.name == "warmstart"
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [
        (t["name"], t["datatype"], t["shape"]) for t in served.current.input_types()
    ]
    assert [t.name for t in metadata.outputs] == [t["name"] for t in served.current.output_types()]
    assert list(metadata.versions) == [served.loaded.version]


def test_a_server_whose_model_is_not_ready_is_live_and_refuses_requests(
    loading: Model,
) -> None:
    async def call(stub: Any) -> Any:
        return (
            await stub.ServerLive(pb2.ServerLiveRequest()),
            await stub.ServerReady(pb2.ServerReadyRequest()),
            await stub.ModelReady(pb2.ModelReadyRequest(name="m")),
        )

    live, ready, model_ready = ask(loading, call)
    assert (live.live, ready.ready, model_ready.ready) == (True, False, False)
    unavailable = (grpc.StatusCode.UNAVAILABLE, "model m is not ready")
    assert refused(loading, lambda stub: stub.ModelInfer(infer_request(*TEXTS))) == unavailable
    metadata = pb2.ModelMetadataRequest(name="m")
    assert refused(loading, lambda stub: stub.ModelMetadata(metadata)) == unavailable


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [("other", "", "there is no model other here"), ("m", "0", "m has no version 0 here")],
)
def test_an_unknown_model_or_version_is_not_found(
    served: Model, name: str, version: str, message: str
) -> None:
    not_found = (grpc.StatusCode.NOT_FOUND, message)
    infer = infer_request(*TEXTS, name=name, version=version)
    ready = pb2.ModelReadyRequest(name=name, version=version)
    metadata = pb2.ModelMetadataRequest(name=name, version=version)
    assert refused(served, lambda stub: stub.ModelInfer(infer)) == not_found
    assert refused(served, lambda stub: stub.ModelReady(ready)) == not_found
    assert refused(served, lambda stub: stub.ModelMetadata(metadata)) == not_found


def test_a_wrong_input_is_an_invalid_argument_with_a_reason(served: Model) -> None:
    request = infer_request(*TEXTS)
    request.inputs[0].shape[0] = 3
    code, details = refused(served, lambda stub: stub.ModelInfer(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details == "input text: its data does not fit BYTES [3] (it has 2 values)"


def test_an_unexpected_error_is_internal_with_a_reason_and_is_logged(
    served: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(served.current, "infer", fail)
    code, details = refused(served, lambda stub: stub.ModelInfer(infer_request(*TEXTS)))
    assert code == grpc.StatusCode.INTERNAL
    assert "the disk is on fire" in details
    assert "Traceback" in caplog.text


def test_messages_may_be_longer_than_grpcs_default_limit(served: Model) -> None:
    # gRPC's own limit is 4 MiB, KServe's 8.
    long = infer_request("good " * 1_300_000)
    answer = ask(served, lambda stub: stub.ModelInfer(long))
    assert len(answer.outputs) == 3


def test_a_message_that_exceeds_the_pending_bytes_is_refused(served: Model) -> None:
    settings = replace(served.settings, max_body_bytes=10_000, max_pending_bytes=10_000)
    state = ServerState(Repository([served], settings))
    bodies = state.bodies
    bodies.held = 9_990

    async def run() -> Any:
        port = free_port()
        server = grpc_server(state, port)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = pb2_grpc.GRPCInferenceServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.ModelInfer(infer_request(*TEXTS))
            bodies.held = 0
            assert (await stub.ModelInfer(infer_request(*TEXTS))).outputs
        await server.stop(None)
        return error.value

    error = asyncio.run(run())
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "above 10000 (--max_pending_bytes)" in error.details()
    assert error.trailing_metadata()["grpc-retry-pushback-ms"] == "1000"
    assert bodies.held == 0

"""What ends a server before it has served: ports that are taken, and a load that fails."""

from __future__ import annotations

import logging
import socket
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest

from benchmarks.harness.process import free_port
from predictor.errors import PortError, SelfTestError
from predictor.server import serve
from predictor.settings import Settings
from predictor.telemetry.startup import Start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from predictor.loading.load import LoadedModel


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def failed() -> Future[LoadedModel]:
    loading: Future[LoadedModel] = Future()
    loading.set_exception(SelfTestError("self-test failed: far off"))
    return loading


def test_a_taken_port_is_named(taken: int, tmp_path: Path, failed: Future[LoadedModel]) -> None:
    settings = Settings("m", tmp_path, http_port=taken, grpc_port=free_port())
    with pytest.raises(PortError, match=f"port {taken} cannot be listened on: Address already in"):
        serve(settings, [(settings, failed)], Start())


def test_a_taken_grpc_port_is_named_and_the_other_let_go(
    taken: int, tmp_path: Path, failed: Future[LoadedModel]
) -> None:
    http = free_port()
    settings = Settings("m", tmp_path, http_port=http, grpc_port=taken)
    with pytest.raises(PortError, match=f"port {taken} cannot be listened on for gRPC"):
        serve(settings, [(settings, failed)], Start())
    socket.create_server(("", http)).close()


@pytest.mark.parametrize("enable_grpc", [True, False])
def test_a_load_that_fails_ends_it_with_1_and_the_reason(
    tmp_path: Path,
    failed: Future[LoadedModel],
    enable_grpc: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(
        "m", tmp_path, http_port=free_port(), grpc_port=free_port(), enable_grpc=enable_grpc
    )
    with caplog.at_level(logging.ERROR, logger="predictor"):
        assert serve(settings, [(settings, failed)], Start()) == 1
    assert "m did not become ready: self-test failed: far off" in caplog.text

"""A predictor process from start to exit: readiness, failed loads, ports and signals."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import numpy as np
import pytest

from benchmarks.harness.process import Predictor, free_port, launched, predictor, run_to_end
from predictor.grpc.protobuf import pb2, pb2_grpc
from tests.support.clients.v2 import grpc_request, outputs_of, text_request
from tests.support.clients.waiting import (
    listens,
    wait_until,
    wait_until_listening,
    wait_until_ready,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

SECONDS = 30
TEXTS = ["the film was good", "a bad book", "i would never watch this again"]


def test_a_loading_server_is_live_and_becomes_ready(
    waiting_folder: Path, classifier: Path, tmp_path: Path
) -> None:
    with launched(waiting_folder, tmp_path / "log") as running:
        wait_until(lambda: listens(running))
        for path in ("/", "/v2/health/live", "/metrics"):
            assert running.http.get(path).status_code == 200
        for path in ("/v2/health/ready", "/v2/models/m", "/v2/models/m/ready"):
            assert running.http.get(path).status_code == 503
        refused = running.infer(text_request(TEXTS))
        assert (refused.status_code, refused.json()) == (503, {"error": "model m is not ready"})
        with grpc.insecure_channel(running.grpc_target) as channel:
            stub = pb2_grpc.GRPCInferenceServiceStub(channel)
            assert stub.ServerLive(pb2.ServerLiveRequest()).live
            assert not stub.ServerReady(pb2.ServerReadyRequest()).ready
            assert not stub.ModelReady(pb2.ModelReadyRequest(name="m")).ready

            (waiting_folder / "config.json").write_bytes((classifier / "config.json").read_bytes())
            wait_until(lambda: running.http.get("/v2/models/m/ready").status_code == 200)
            assert running.http.get("/v2/health/ready").status_code == 200
            assert stub.ModelReady(pb2.ModelReadyRequest(name="m")).ready
        assert running.infer(text_request(TEXTS)).status_code == 200


def test_a_load_that_fails_late_ends_the_process_with_1_and_the_reason(
    waiting_folder: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with launched(waiting_folder, log) as running:
        wait_until(lambda: listens(running))
        (waiting_folder / "config.json").write_text("{")
        assert running.process.wait(SECONDS) == 1
    last = log.read_text().splitlines()[-1]
    assert "ERROR" in last
    assert "m did not become ready" in last
    assert "config.json" in last


def test_it_can_be_stopped_while_it_loads(waiting_folder: Path, tmp_path: Path) -> None:
    with launched(waiting_folder, tmp_path / "log") as running:
        wait_until(lambda: listens(running))
        running.process.send_signal(signal.SIGTERM)
        # A load that hangs on storage must not use up a pod's grace period.
        assert running.process.wait(SECONDS) == 0


def test_a_model_that_is_still_on_its_way_is_waited_for(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    folder, log = tmp_path / "model", tmp_path / "log"
    with launched(folder, log, "--variant=fp32", "--model_wait_seconds=60") as running:
        wait_until(lambda: "waiting for the model" in log.read_text())
        assert not listens(running)
        shutil.copytree(prepared_classifier, folder)
        wait_until_listening(running)
        wait_until_ready(running)
        assert running.infer(text_request(TEXTS)).status_code == 200


def test_it_can_be_stopped_while_it_waits_for_its_model(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with launched(tmp_path / "none", log, "--model_wait_seconds=60") as running:
        wait_until(lambda: "waiting for the model" in log.read_text())
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(SECONDS) == 0


@pytest.fixture
def taken() -> Any:
    with socket.create_server(("", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("flag", ["http_port", "grpc_port"])
def test_a_taken_port_is_a_clear_error(prepared_classifier: Path, taken: int, flag: str) -> None:
    done = run_to_end(prepared_classifier, "--variant=fp32", f"--{flag}={taken}")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"cannot listen on port {taken}" in last
    assert "Traceback" not in done.stderr


def test_a_taken_port_ends_the_process_although_a_load_hangs(
    waiting_folder: Path, taken: int
) -> None:
    done = run_to_end(waiting_folder, f"--http_port={taken}")
    assert done.returncode == 1
    assert f"cannot listen on port {taken}" in done.stderr.splitlines()[-1]


def test_two_predictors_never_share_a_grpc_port(prepared_classifier: Path, tmp_path: Path) -> None:
    port = free_port()
    flags = ("--variant=fp32", f"--grpc_port={port}")
    with predictor(prepared_classifier, tmp_path / "log", *flags):
        done = run_to_end(prepared_classifier, *flags)
    assert done.returncode == 1
    assert f"cannot listen on port {port} for gRPC" in done.stderr.splitlines()[-1]


def test_without_grpc_its_port_stays_closed(prepared_classifier: Path, tmp_path: Path) -> None:
    flags = ("--variant=fp32", "--enable_grpc=false")
    with predictor(prepared_classifier, tmp_path / "log", *flags) as running:
        assert running.infer(text_request(TEXTS)).status_code == 200
        host, _, port = running.grpc_target.rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))


def test_sigterm_loses_no_request_that_was_accepted(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    texts = [f"{text} {' very' * (n % 40)} good" for n in range(300) for text in TEXTS]
    # Seven of eight requests wait in the queue.
    flags = ("--variant=fp32", "--lanes=1", "--max_queue_texts=10000", "--max_queue_seconds=60")
    with predictor(prepared_classifier, log, *flags) as running:
        want = outputs_of(running.infer(text_request(texts)).json())["probabilities"]
        answered = threading.Barrier(9)

        def rest() -> Any:
            with httpx.Client(base_url=running.url, timeout=SECONDS) as client:
                client.get("/v2/health/live")  # connected
                answered.wait(SECONDS)
                response = client.post("/v2/models/m/infer", json=text_request(texts))
                assert response.status_code == 200, response.text
                return outputs_of(response.json())["probabilities"]

        def over_grpc() -> Any:
            with grpc.insecure_channel(running.grpc_target) as channel:
                stub = pb2_grpc.GRPCInferenceServiceStub(channel)
                stub.ServerLive(pb2.ServerLiveRequest())
                answered.wait(SECONDS)
                answer = stub.ModelInfer(grpc_request("m", texts), timeout=SECONDS)
                output = answer.outputs[2]
                return np.reshape(output.contents.fp32_contents, output.shape)

        with ThreadPoolExecutor(8) as clients:
            answers = [clients.submit(ask) for ask in [rest, over_grpc] * 4]
            answered.wait(SECONDS)
            wait_until(lambda: _requests_in(running, len(texts)) >= 8)
            running.process.send_signal(signal.SIGTERM)
            assert not all(answer.done() for answer in answers), "SIGTERM came in between"
            for answer in answers:
                np.testing.assert_allclose(answer.result(SECONDS), want, atol=1e-4)
        assert running.process.wait(SECONDS) == 0
    content = log.read_text()
    assert "stopping" in content
    assert "Traceback" not in content
    assert "ERROR" not in content


def _requests_in(running: Predictor, texts: int) -> int:
    """Return how many requests have arrived: texts that ran and texts that wait."""
    metrics = running.metrics()
    figures = [
        re.search(rf'^warmstart_{name}{{model_name="m"}} (\S+)$', metrics, re.MULTILINE)
        for name in ("queue_texts", "batch_texts_sum")
    ]
    seen = sum(float(figure[1]) for figure in figures if figure)
    return round(seen / texts) - 1  # without the first, which was answered before

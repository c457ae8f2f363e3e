"""A running predictor's metrics, and its log of requests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import grpc
import pytest

from benchmarks.harness.process import Predictor, predictor
from predictor.grpc.protobuf import pb2_grpc
from tests.support.clients.v2 import grpc_request, text_request
from tests.support.clients.waiting import wait_until
from tests.support.models.packages import flip_byte, writable_copy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TEXTS = ["the film was good", "a bad book"]
PROMTOOL = shutil.which("promtool")


@pytest.fixture(scope="module")
def server(
    prepared_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    folder = tmp_path_factory.mktemp("models")
    writable_copy(prepared_classifier, folder / "good")
    broken = writable_copy(prepared_classifier, folder / "broken")
    flip_byte(broken / "tokenizer.json", position=100)
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with predictor(folder, log, f"--models_dir={folder}", name="good") as running:
        wait_until(lambda: value(running, 'model_state{model_name="broken",state="failed"}') == 1)
        yield running


def value(running: Predictor, series: str) -> float | None:
    """Return a series' value, None if there is no such series."""
    found = re.search(rf"^warmstart_{re.escape(series)} (\S+)$", running.metrics(), re.MULTILINE)
    return float(found[1]) if found else None


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_finds_nothing(server: Predictor) -> None:
    assert server.infer(text_request(TEXTS)).status_code == 200
    assert server.http.post("/v2/models/good/infer", content=b"{").status_code == 400
    metrics = server.metrics()
    for name in ("request_seconds_bucket", "request_errors_total", "model_state", "load_seconds"):
        assert f"warmstart_{name}{{" in metrics
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"],
        input=metrics,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_requests_are_counted_by_model_protocol_and_outcome(server: Predictor) -> None:
    def answered(protocol: str) -> float:
        labels = f'{{model_name="good",protocol="{protocol}"}}'
        return value(server, f"request_seconds_count{labels}") or 0

    def failed(protocol: str, kind: str, model: str = "good") -> float:
        labels = f'{{kind="{kind}",model_name="{model}",protocol="{protocol}"}}'
        return value(server, f"request_errors_total{labels}") or 0

    protocols = ("rest-v2", "rest-v1", "grpc-v2")
    before = [answered(protocol) for protocol in protocols]
    invalid, unready = (
        failed("rest-v2", "invalid_request"),
        failed("rest-v2", "not_ready", "broken"),
    )
    unknown = failed("grpc-v2", "unknown_model", "")

    assert server.infer(text_request(TEXTS)).status_code == 200
    assert server.predict({"instances": TEXTS}).status_code == 200
    assert server.http.post("/v2/models/good/infer", content=b"{").status_code == 400
    assert server.http.post("/v2/models/broken/infer", json=text_request(TEXTS)).status_code == 503
    request = grpc_request("good", ["good"])
    with grpc.insecure_channel(server.grpc_target) as channel:
        stub = pb2_grpc.GRPCInferenceServiceStub(channel)
        stub.ModelInfer(request)
        request.model_name = "invented"
        with pytest.raises(grpc.RpcError):
            stub.ModelInfer(request)

    assert [answered(protocol) for protocol in protocols] == [count + 1 for count in before]
    assert failed("rest-v2", "invalid_request") == invalid + 1
    assert failed("rest-v2", "not_ready", "broken") == unready + 1
    assert failed("grpc-v2", "unknown_model", "") == unknown + 1
    assert "invented" not in server.metrics()
    assert value(server, 'requests_in_flight{model_name="good",protocol="rest-v2"}') == 0


def test_metrics_describe_each_model_and_name_the_failed_one(server: Predictor) -> None:
    metrics = server.metrics()
    assert re.search(r'^warmstart_model_info{.*name="good",origin="copied",.*} 1', metrics, re.M)
    assert value(server, 'model_state{model_name="good",state="ready"}') == 1
    assert value(server, 'model_state{model_name="broken",state="ready"}') == 0
    for phase in ("verify", "session", "selftest", "warmup", "total"):
        assert value(server, f'load_seconds{{model_name="good",phase="{phase}"}}') is not None
    p50 = value(server, 'warmup_p50_seconds{model_name="good"}')
    p95 = value(server, 'warmup_p95_seconds{model_name="good"}')
    assert p50
    assert p95
    assert p50 <= p95


def test_a_model_is_loading_until_it_is_loaded(loading: Predictor) -> None:
    assert value(loading, 'model_state{model_name="m",state="loading"}') == 1
    assert value(loading, 'model_state{model_name="m",state="ready"}') == 0


def test_latency_logging_writes_one_line_a_request(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    flags = ("--enable_latency_logging=true", "--log_format=json")
    with predictor(prepared_classifier, log, *flags) as running:
        running.infer(text_request(["a secret"]))
        running.http.post("/v2/models/m/infer", content=b'{"inputs": "secret"}')
        running.predict({"instances": ["a secret"]})
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    told = [(line["protocol"], line["id"], line["status"]) for line in requests]
    assert told == [("rest-v2", "7", "200"), ("rest-v2", "", "400"), ("rest-v1", "", "200")]
    assert requests[1]["error"] == "invalid_request"
    answered = requests[0]
    parts = answered["queue_seconds"] + answered["run_seconds"]
    assert 0 < answered["tokenize_seconds"] <= answered["queue_seconds"]
    assert 0 < parts <= answered["seconds"]
    assert "secret" not in log.read_text()

"""The server answers any request without an internal error, and its memory does not grow.

Requests over REST, the binary extension and gRPC are made from the examples of the server's own
OpenAPI document, and by schemathesis from its schemas. The long form, more than 20,000 requests, is
marked ``slow``.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from predictor.grpc.protobuf import pb2_grpc
from tests.support.clients.fuzzing import Sent, binary_requests, grpc_requests, rest_requests
from tests.support.clients.openapi import Example, examples
from tests.support.clients.v2 import text_request
from tests.support.clients.waiting import wait_until_ready
from tests.support.models.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration

SECONDS = 10
# Codes of a faulty server.
FAULTS = {"UNKNOWN", "INTERNAL", "UNIMPLEMENTED", "DEADLINE_EXCEEDED", "UNAVAILABLE"}
WAYS = ("rest", "binary", "grpc", "openapi")
EACH = 5_500
LEAST_VALID = 0.3
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

# What a request that the schema refuses must fulfil besides.
MODES: dict[Any, list[Any]] = {
    GenerationMode.POSITIVE: [],
    GenerationMode.NEGATIVE: [negative_data_rejection],
}


def fuzzed(count: int, strategy: Any, ask: Callable[[Any], None]) -> None:
    """Send ``count`` requests. Failures are not shrunk: the printed seed repeats them."""

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(value: Any) -> None:
        ask(value)

    run()


class Fuzzer:
    """Sends requests to a server and counts the responses by status."""

    def __init__(self, server: Predictor) -> None:
        self.server = server
        self.said: Counter[str] = Counter()
        document = server.http.get("/openapi.json").json()
        # Routes with a version are the same but for their path.
        self._shown = [e for e in examples(document) if "/versions/" not in e.path]
        self._inference = [e for e in self._shown if re.search(r"/v2/models/\w+/infer", e.path)]
        self._channel = grpc.insecure_channel(server.grpc_target)
        self._stub = pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    @property
    def valid(self) -> float:
        """The share of requests that were answered."""
        return (self.said["200"] + self.said["OK"]) / self.said.total()

    def rest(self, count: int) -> None:
        fuzzed(count, rest_requests(self._shown), self._send)

    def binary(self, count: int) -> None:
        fuzzed(count, binary_requests(self._inference), self._send)

    def grpc(self, count: int) -> None:
        fuzzed(count, grpc_requests(self._inference), self._call)

    def openapi(self, count: int) -> None:
        """Send requests that schemathesis makes from the schemas: valid ones, and wrong ones."""
        schema = schemathesis.openapi.from_dict(self.server.http.get("/openapi.json").json())
        schema.config.update(base_url=self.server.url)
        operations = [operation.ok() for operation in schema.get_all_operations()]
        asked = [o for o in operations if o.method == "post" and _is_fuzzed(o)]
        each = max(1, count // len(asked) // 2)

        def ask_with(checks: list[Any]) -> Callable[[Any], None]:
            def ask(case: Any) -> None:
                response = case.call_and_validate(checks=checks, timeout=SECONDS)
                self.said[str(response.status_code)] += 1

            return ask

        for operation in asked:
            for mode, further in MODES.items():
                strategy = operation.as_strategy(generation_mode=mode)
                fuzzed(each, strategy, ask_with([*CHECKS, *further]))

    def _send(self, sent: Sent) -> None:
        headers = {name.encode(): value.encode() for name, value in sent.headers.items()}
        try:
            response = self.server.http.request(
                sent.method, sent.path, content=sent.body, headers=headers, timeout=SECONDS
            )
        except (httpx.LocalProtocolError, httpx.InvalidURL):
            return  # no client can send it
        self.said[str(response.status_code)] += 1
        assert response.status_code < 500 or sent.path.endswith(":explain"), (sent, response.text)
        if response.status_code != httpx.codes.OK:
            # Cohere's clients read "message".
            assert response.json().keys() & {"error", "message"}, sent
        elif "/unload" in sent.path:
            load = sent.path.partition("unload")[0] + "load"
            assert self.server.http.post(load).status_code == httpx.codes.OK

    def _call(self, message: Any) -> None:
        try:
            self._stub.ModelInfer(message, timeout=SECONDS)
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
            assert code not in FAULTS, (message, error.details())
        self.said[code] += 1


def _is_fuzzed(operation: Any) -> bool:
    # Explaining always returns 501; loading has no body, and unloading affects other requests.
    # Routes that always refuse have no body.
    path = operation.path
    return "requestBody" in operation.definition.raw and not re.search(r"load$|/versions/", path)


@pytest.fixture
def fuzzer(every_server: Predictor) -> Iterator[Fuzzer]:
    fuzzer = Fuzzer(every_server)
    yield fuzzer
    fuzzer.close()
    assert every_server.process.poll() is None
    wait_until_ready(every_server)
    assert every_server.infer(text_request(["good"])).status_code == httpx.codes.OK


def test_a_few_hundred_requests_find_no_fault(fuzzer: Fuzzer) -> None:
    for way in WAYS:
        getattr(fuzzer, way)(100)
    assert fuzzer.valid >= LEAST_VALID, fuzzer.said
    assert fuzzer.said["400"] > 20
    assert fuzzer.said["INVALID_ARGUMENT"] > 5


def test_every_task_and_route_is_among_the_seeds(fuzzer: Fuzzer) -> None:
    shown: list[Example] = fuzzer._shown
    paths = {example.path for example in shown if example.body is not None}
    assert {f"/v2/models/{task}/infer" for task in TASKS} <= paths
    assert {f"/v1/models/{task}:predict" for task in TASKS} <= paths
    assert {"/openai/v1/embeddings", "/rerank", "/v2/repository/index"} <= paths


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS)
def test_thousands_of_requests_find_no_fault_and_leave_nothing_behind(
    fuzzer: Fuzzer, way: str
) -> None:
    ask = getattr(fuzzer, way)
    ask(EACH // 10)
    before = _own_bytes(fuzzer.server)
    ask(EACH)
    grown = _own_bytes(fuzzer.server) - before
    print(  # noqa: T201
        f"{way}: {fuzzer.said.total()} requests, {fuzzer.valid:.0%} answered: "
        f"{dict(fuzzer.said)}; grown by {grown / 2**20:.1f} MiB"
    )
    assert fuzzer.said.total() >= 20_000 / len(WAYS)
    # Every second request that schemathesis makes is wrong on purpose.
    assert fuzzer.valid >= (LEAST_VALID / 2 if way == "openapi" else LEAST_VALID)
    assert grown < 16 << 20


def _own_bytes(server: Predictor) -> int:
    """Return anonymous memory: the share of mapped files grows when another process ends."""
    rollup = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss_Anon:\s+(\d+) kB$", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024

"""Whatever a client sends, the server answers, never with a fault of its own, and does not grow.

The short form runs with every test, the long one, 20,000 requests, under the mark ``slow``.
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.process import Predictor, predictor
from predictor.kserve_protobuf import pb2, pb2_grpc
from tests.v2 import text_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

INFER = "/v2/models/m/infer"
SECONDS = 10
# What a server that is at fault would say over gRPC.
FAULTS = {"UNKNOWN", "INTERNAL", "UNIMPLEMENTED", "DEADLINE_EXCEEDED", "UNAVAILABLE"}
NAMES = st.sampled_from(["text", "text_pair", "input_ids", "attention_mask", "token_type_ids", ""])
DATATYPES = st.sampled_from(["BYTES", "INT64", "INT32", "FP32", "FP16", "BOOL", "bytes", ""])
SHAPES = st.lists(st.integers(-2, 5) | st.sampled_from([2**31, 2**63 - 1, -(2**63)]), max_size=3)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=8)
TEXTS = st.lists(st.text(max_size=20), max_size=3)


def strings(texts: list[str]) -> bytes:
    """As BYTES tensors are written in binary."""
    return b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)


RAW = st.binary(max_size=40) | st.lists(st.text(max_size=8), max_size=3).map(strings)


@st.composite
def binary_bodies(draw: st.DrawFn) -> tuple[bytes, str]:
    """A body of the binary extension, right or wrong, and the length of its JSON."""
    chunks = draw(st.lists(RAW, max_size=3))
    inputs = [
        {
            "name": draw(NAMES),
            "datatype": draw(DATATYPES),
            "shape": draw(SHAPES),
            "parameters": {
                "binary_data_size": len(chunk) + draw(st.sampled_from([0, 0, 0, 1, -1]))
            },
        }
        for chunk in chunks
    ]
    parameters = draw(st.dictionaries(st.sampled_from(["binary_data_output", "top_k"]), SCALARS))
    head = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    length = draw(
        st.just(str(len(head))) | st.integers(-2, 200).map(str) | st.text("0a²", max_size=3)
    )
    return head + b"".join(chunks) + draw(st.sampled_from([b"", b"", b"x"])), length


@st.composite
def json_bodies(draw: st.DrawFn) -> bytes:
    """A JSON body near the protocol's form, or far from it."""
    tensor = st.fixed_dictionaries(
        {"name": NAMES | SCALARS, "datatype": DATATYPES, "shape": SHAPES, "data": VALUES | TEXTS}
    )
    body = st.fixed_dictionaries(
        {"inputs": st.lists(tensor, max_size=3)},
        optional={"id": SCALARS, "parameters": st.dictionaries(st.text(max_size=5), VALUES)},
    )
    made = json.dumps(draw(body | VALUES)).encode()
    cut = draw(st.integers(0, len(made)))
    return draw(st.sampled_from([made, made, made, made[:cut], made[:cut] + b"\xff" + made[cut:]]))


@st.composite
def messages(draw: st.DrawFn) -> Any:
    """A gRPC request, right or wrong."""
    message = pb2.ModelInferRequest(model_name=draw(st.sampled_from(["m", "m", "other", ""])))
    for _ in range(draw(st.integers(0, 3))):
        tensor = message.inputs.add(name=draw(NAMES), datatype=draw(DATATYPES), shape=draw(SHAPES))
        if draw(st.booleans()):
            tensor.contents.bytes_contents.extend(draw(st.lists(st.binary(max_size=9), max_size=3)))
            tensor.contents.int64_contents.extend(
                draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4))
            )
    message.raw_input_contents.extend(draw(st.lists(RAW, max_size=3)))
    message.parameters["top_k"].int64_param = draw(st.integers(-(2**63), 2**63 - 1))
    return message


def fuzzed(examples: int, strategy: Any, ask: Callable[[Any], None]) -> None:
    """Ask that many times. Not to find the smallest failure: the seed is printed for that."""

    @settings(
        max_examples=examples,
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
    """Asks a server and counts what it says."""

    def __init__(self, server: Predictor) -> None:
        self.server = server
        self.said: Counter[str] = Counter()
        self._channel = grpc.insecure_channel(server.grpc_target)
        self._stub = pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def rest(self, body: bytes, headers: dict[str, str] | None = None, path: str = INFER) -> None:
        given_headers = {k.encode(): v.encode() for k, v in (headers or {}).items()}
        try:
            response = self.server.http.post(
                path, content=body, headers=given_headers, timeout=SECONDS
            )
        except httpx.LocalProtocolError:
            return  # what no client can send
        self.said[str(response.status_code)] += 1
        assert response.status_code < 500, (body, headers, response.text)
        assert response.status_code == 200 or list(response.json()) == ["error"]

    def binary(self, drawn: tuple[bytes, str]) -> None:
        body, length = drawn
        self.rest(body, {"Inference-Header-Content-Length": length})

    def grpc(self, message: Any) -> None:
        try:
            self._stub.ModelInfer(message, timeout=SECONDS)
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
            assert code not in FAULTS, (message, error.details())
        self.said[code] += 1

    def openapi(self, examples: int) -> None:
        """What schemathesis makes of the server's own document, ``examples`` an operation."""
        schema = schemathesis.openapi.from_url(f"{self.server.url}/openapi.json")
        checks = [
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ]
        for operation in schema.get_all_operations():
            path = operation.ok().path
            if path.endswith((":explain", "/unload")):
                continue  # has no answer but 501; ends what the others ask of

            def ask(case: Any) -> None:
                response = case.call_and_validate(checks=checks, timeout=SECONDS)
                self.said[str(response.status_code)] += 1

            once = path.startswith("/v2/health") or path in ("/v2", "/v2/models", "/status")
            fuzzed(min(examples, 10) if once else examples, operation.ok().as_strategy(), ask)


@pytest.fixture
def fuzzer(prepared_classifier: Path, tmp_path: Path) -> Iterator[Fuzzer]:
    with predictor(prepared_classifier, tmp_path / "log", "--variant=fp32") as running:
        fuzzer = Fuzzer(running)
        yield fuzzer
        fuzzer.close()
        assert running.process.poll() is None
        assert running.infer(text_request(["good"])).status_code == 200


def fuzz(fuzzer: Fuzzer, examples: int) -> None:
    """So many requests of each of three kinds, and as many by the server's own document."""
    fuzzed(examples, json_bodies(), fuzzer.rest)
    fuzzed(examples, binary_bodies(), fuzzer.binary)
    fuzzed(examples, messages(), fuzzer.grpc)
    fuzzer.openapi(examples // 3)


def test_a_few_hundred_requests_find_no_fault(fuzzer: Fuzzer) -> None:
    fuzz(fuzzer, 120)
    assert fuzzer.said["400"] > 100
    assert fuzzer.said["200"] > 10
    assert fuzzer.said["INVALID_ARGUMENT"] > 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_thousand_requests_find_no_fault_and_leave_nothing_behind(fuzzer: Fuzzer) -> None:
    fuzz(fuzzer, 600)
    before = _resident_bytes(fuzzer.server)
    fuzz(fuzzer, 4700)
    grown = _resident_bytes(fuzzer.server) - before
    total = sum(fuzzer.said.values())
    print(f"{total} requests: {dict(fuzzer.said)}; grown by {grown / 2**20:.1f} MiB")  # noqa: T201
    assert total >= 20_000
    assert grown < 16 << 20


def _resident_bytes(server: Predictor) -> int:
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")

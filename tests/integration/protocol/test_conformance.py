"""The cases of KServe's own server tests: clients of KServe may rely on them.

Source: github.com/kserve/kserve, python/kserve/test/test_server.py and test_grpc_server.py, at
commit aaac4e294dae: the names of its 60 cases and what they ask, none of their code.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import grpc
import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from benchmarks.harness.process import Predictor, predictor, run_to_end
from predictor.grpc.protobuf import pb2, pb2_grpc
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import LABELS
from tests.support.models.packages import flip_byte, writable_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.integration

F = TypeVar("F", bound="Callable[..., None]")
TEXTS = ["the film was good", "a bad book"]
INFER = "/v2/models/m/infer"
PREDICT = "/v1/models/m:predict"
LENGTH = "inference-header-content-length"
EVENT_ID = "36077800-0c23-4f38-a0b4-01f4369f670a"
EVENT = {
    "specversion": "1.0",
    "id": EVENT_ID,
    "source": "https://example.com/event-producer",
    "type": "com.example.sampletype1",
    "time": "2021-01-28T21:04:43.144141+00:00",
    "custom-extension": "custom-value",
}

ONLY_FP16 = "no model here has FP16 tensors; such a request is refused, which is tested"
NO_DATES = "no model here answers with dates; JSON of any other kind is KServe's own affair"
NO_RAY = "there is no Ray in front of this server"
FORWARDING = "a predictor forwards to no other predictor"
ITS_INSIDES = "a test of how kserve.ModelServer starts its loop, not of what it answers"
# Cases that no test here asks, and why.
NOT_APPLICABLE = {
    "TestStreamPredict.predict_stream": "no task here streams its answer",
    "TestV1Endpoints.explain_v1": "no model here has an explainer: 501, which is tested",
    "TestV1Endpoints.datetime_output_v1": NO_DATES,
    "TestV2Endpoints.fp16_input_as_binary_data": ONLY_FP16,
    "TestV2Endpoints.fp16_output_as_binary_data": ONLY_FP16,
    "TestV2Endpoints.fp16_output_not_binary_data": ONLY_FP16,
    "TestV2Endpoints.datetime_output": NO_DATES,
    "TestRayServer.liveness_handler": NO_RAY,
    "TestRayServer.list_handler": NO_RAY,
    "TestRayServer.health_handler": NO_RAY,
    "TestRayServer.predict": NO_RAY,
    "TestRayServer.infer": NO_RAY,
    "TestRayServer.explain": NO_RAY,
    "TestTFHttpServerAvroCloudEvent.predict_ce_avro_binary": "no model here reads Avro",
    "TestMutiProcessServer.rest_server_multiprocess": "one process uses all CPUs: no --workers",
    "TestModelServerWithPredictorConfig.model_server_with_predictor_config": FORWARDING,
    "TestModelServerWithPredictorConfig.model_server_dataplane_with_predictor_config": FORWARDING,
    "TestModelServerWithPredictorConfig.model_server_backwards_compatibility": FORWARDING,
    "TestModelServerEventLoopWithDummy.start_passes_event_loop_to_rest_server": ITS_INSIDES,
    "TestModelServerEventLoopWithDummy.start_passes_event_loop_to_rest_multiprocess": ITS_INSIDES,
    "grpc.grpc_fp16_output": ONLY_FP16,
    "grpc.grpc_fp16_input": ONLY_FP16,
}
CASES = 60

asked: set[str] = set()


def case(*names: str) -> Callable[[F], F]:
    """Mark a test with the cases of KServe's that it covers."""

    def note(test: F) -> F:
        asked.update(names)
        return test

    return note


def test_every_case_of_kserves_is_asked_or_has_a_reason_why_not() -> None:
    assert not asked & set(NOT_APPLICABLE)
    assert len(asked) + len(NOT_APPLICABLE) == CASES


@case("TestModel.validate")
def test_instances_and_inputs_must_be_lists(server: Predictor) -> None:
    # KServe passes an empty list to its model; this server has no answer to it.
    good = {PREDICT: {"instances": TEXTS}, INFER: text_request(TEXTS)}
    bad: dict[str, Any] = {PREDICT: {"instances": "invalid"}, INFER: {"inputs": "invalid"}}
    for path, body in good.items():
        assert server.http.post(path, json=body).status_code == 200
    for path, body in bad.items():
        assert server.http.post(path, json=body).status_code == 400


@case("TestV1Endpoints.liveness_v1", "TestV1Endpoints.metrics_v1", "TestV1Endpoints.model_v1")
@case("TestV1Endpoints.list_models_v1", "TestV2Endpoints.list_models_v2")
@case("TestV1Endpoints.unknown_model_v1", "TestV1Endpoints.unknown_path_v1")
@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/", 200, {"status": "alive"}),
        ("/v1/models/m", 200, {"name": "m", "ready": True}),
        ("/v1/models", 200, {"models": ["m"]}),
        ("/v2/models", 200, {"models": ["m"]}),
        ("/v1/models/InvalidModel", 404, {"error": "there is no model InvalidModel here"}),
        ("/unknown_path", 404, {"error": "there is nothing at /unknown_path"}),
    ],
)
def test_servers_and_models_are_described(
    server: Predictor, path: str, status: int, body: dict[str, Any]
) -> None:
    response = server.http.get(path)
    assert response.status_code == status
    # Routes that OpenAI's clients share have more.
    assert body.items() <= response.json().items()
    assert server.metrics()


@case("TestV1Endpoints.predict_v1", "TestV2Endpoints.infer_v2")
def test_inference_over_v1_and_v2(server: Predictor) -> None:
    v1 = server.http.post(PREDICT, content=json.dumps({"instances": TEXTS}).encode())
    body = text_request(TEXTS)
    body["inputs"][0] |= {"shape": [2, 1], "data": [[text] for text in TEXTS]}
    v2 = server.http.post(INFER, json=body)
    for response in (v1, v2):
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
    labels = outputs_of(v2.json())["label"].tolist()
    assert set(labels) <= set(LABELS)
    assert [row["label"] for row in v1.json()["predictions"]] == labels


@case("TestV2Endpoints.infer_parameters_v2")
def test_parameters_of_every_type_are_accepted_and_the_id_is_returned(server: Predictor) -> None:
    parameters = {"test-str": "dummy", "test-bool": True, "test-int": 100, "test-float": 1.3}
    texts = InferInput("text", [2], "BYTES", TEXTS, parameters)
    body, _ = InferRequest("m", [texts], request_id="123", parameters=parameters).to_rest()
    response = server.http.post(INFER, content=json.dumps(body).encode())
    assert response.status_code == 200
    answer = InferResponse.from_rest(response.json())
    assert (answer.id, answer.model_name) == ("123", "m")


@case("TestV2Endpoints.fp16_input_not_binary_data")
def test_fp16_in_json_is_refused(server: Predictor) -> None:
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP16", "data": [6.8]}]}
    assert server.http.post(INFER, json=body).status_code == 400


@case("TestV2Endpoints.requested_output", "TestV2Endpoints.all_output_as_binary_data")
@case("TestV2Endpoints.binary_data_parameter_precedence")
@pytest.mark.parametrize(
    ("parameters", "outputs", "binary"),
    [
        ({}, {"score": False}, []),
        ({"binary_data_output": True}, {}, ["label", "score", "probabilities"]),
        ({"binary_data_output": True}, {"probabilities": True, "score": False}, ["probabilities"]),
    ],
    ids=["one output", "all binary", "an output's own parameter wins"],
)
def test_outputs_are_returned_in_the_requested_form(
    server: Predictor, parameters: dict[str, Any], outputs: dict[str, bool], binary: list[str]
) -> None:
    wanted = [RequestedOutput(name, {"binary_data": flag}) for name, flag in outputs.items()]
    texts = InferInput("text", [2], "BYTES", TEXTS)
    request = InferRequest("m", [texts], "123", parameters=parameters, request_outputs=wanted)
    response = server.http.post(INFER, json=request.to_rest()[0])
    assert response.status_code == 200
    if not binary:
        assert list(outputs_of(response.json())) == list(outputs)
        return
    length = int(response.headers[LENGTH])
    head = json.loads(response.content[:length])
    assert binary == [o["name"] for o in head["outputs"] if "data" not in o]
    answer = InferResponse.from_bytes(response.content, length)
    plain = outputs_of(server.infer(text_request(TEXTS)).json())
    assert [o.name for o in answer.outputs] == list(outputs or plain)
    for output in answer.outputs:
        if output.datatype == "FP32":
            got = np.reshape(output.as_numpy(), plain[output.name].shape)
            np.testing.assert_allclose(got, plain[output.name], atol=1e-6)


@case(
    "TestTFHttpServerModelNotLoaded.model_not_ready_error",
    "TestTFHttpServerModelNotReady.model_not_ready_v1",
    "TestTFHttpServerModelNotReady.model_not_ready_v2",
    "TestTFHttpServerModelNotReady.predict",
    "TestTFHttpServerModelNotReady.infer",
    "TestTFHttpServerModelNotReady.explain",
)
def test_a_model_that_is_not_ready_is_503(loading: Predictor) -> None:
    for path in ("/v1/models/m", "/v2/models/m/ready"):
        assert loading.http.get(path).status_code == 503
    assert loading.predict({"instances": TEXTS}).status_code == 503
    assert loading.infer(text_request(TEXTS)).status_code == 503
    explained = loading.http.post("/v1/models/m:explain", json={"instances": TEXTS})
    assert explained.status_code == 503


@case("TestWithUnhealthyModel.with_not_ready_model")
def test_a_server_without_a_model_that_gets_ready_ends(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    broken = writable_copy(prepared_classifier, tmp_path / "broken")
    flip_byte(broken / "selftest.npz", position=100)
    assert run_to_end(broken).returncode == 1


@case("TestTFHttpServerLoadAndUnLoad.load", "TestTFHttpServerLoadAndUnLoad.unload")
@case("TestTFHttpServerLoadAndUnLoadFailure.unload_fail")
@case("TestTFHttpServerLoadAndUnLoadFailure.load_fail")
def test_models_are_loaded_and_unloaded(server: Predictor) -> None:
    for change in ("load", "unload", "load"):
        response = server.http.post(f"/v2/repository/models/m/{change}", content=b"")
        assert response.status_code == 200
        assert response.json() | {"name": "m", change: True} == response.json()
        unknown = server.http.post(f"/v2/repository/models/other/{change}", content=b"")
        assert unknown.status_code == 404
    assert server.infer(text_request(TEXTS)).status_code == 200


OWN = {"CE_SOURCE": "io.kserve.inference.CustomSource", "CE_TYPE": "io.kserve.custom_type"}


@pytest.fixture(scope="module")
def merging(
    prepared_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    """A server that keeps events' extensions and has a source and a type of its own."""
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with (
        mock.patch.dict(os.environ, OWN | {"CE_MERGE": "true"}),
        predictor(prepared_classifier, log, "--variant=fp32") as running,
    ):
        yield running


def _check_event(found: Mapping[str, Any], prefix: str, *, merged: bool) -> None:
    """What describes an answer's event, in a body or, with a prefix, in headers."""
    told = {name: found.get(prefix + name) for name in ("source", "type", "custom-extension")}
    source, kind = "io.kserve.inference.m", "io.kserve.inference.response"
    if merged:
        source, kind = OWN["CE_SOURCE"], OWN["CE_TYPE"]
    extension = "custom-value" if merged else None
    assert told == {"source": source, "type": kind, "custom-extension": extension}
    assert found[f"{prefix}specversion"] == "1.0"
    assert found[f"{prefix}time"] > EVENT["time"]
    assert found[f"{prefix}id"] != EVENT_ID


@case("TestTFHttpServerCloudEvent.predict_ce_structured")
@case("TestTFHttpServerCloudEvent.predict_merge_structured_ce_attributes")
@case("TestTFHttpServerCloudEvent.predict_custom_ce_attributes")
def test_structured_events(server: Predictor, merging: Predictor) -> None:
    content = json.dumps(EVENT | {"data": {"instances": TEXTS}}).encode()
    headers = {"content-type": "application/cloudevents+json"}
    for running in (server, merging):
        response = running.http.post(PREDICT, headers=headers, content=content)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/cloudevents+json"
        answer = response.json()
        _check_event(answer, "", merged=running is merging)
        assert [row["label"] in LABELS for row in answer["data"]["predictions"]] == [True, True]


@case("TestTFHttpServerCloudEvent.predict_ce_binary_dict")
@case("TestTFHttpServerCloudEvent.predict_ce_binary_bytes")
@case("TestTFHttpServerCloudEvent.predict_merge_binary_ce_attributes")
def test_binary_events(server: Predictor, merging: Predictor) -> None:
    for running in (server, merging):
        response = _binary(running, json.dumps({"instances": TEXTS}).encode())
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        _check_event(response.headers, "ce-", merged=running is merging)
        assert [row["label"] in LABELS for row in response.json()["predictions"]] == [True, True]


@case("TestTFHttpServerCloudEvent.predict_ce_bytes_bad_format_exception")
@case("TestTFHttpServerCloudEvent.predict_ce_bytes_bad_hex_format_exception")
@pytest.mark.parametrize("content", [b"{", b"0\x80\x80\x06World!\x00\x00"])
def test_binary_events_that_are_not_json_are_400(server: Predictor, content: bytes) -> None:
    response = _binary(server, content)
    assert response.status_code == 400
    assert "Failed to decode or parse binary json cloudevent" in response.json()["error"]


@case("grpc.grpc_inputs", "grpc.grpc_raw_inputs")
@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_grpc_answers_in_the_form_of_the_request(server: Predictor, raw: bool) -> None:
    answer = _grpc(server, _infer_request(raw=raw))
    assert (answer.id, answer.model_name) == ("123", "m")
    assert bool(answer.raw_output_contents) is raw
    assert len(answer.raw_output_contents) in (0, len(answer.outputs))
    response = InferResponse.from_grpc(answer)
    plain = outputs_of(server.infer(text_request(TEXTS)).json())
    got = {output.name: output.as_numpy() for output in response.outputs}
    np.testing.assert_allclose(np.reshape(got["score"], -1), plain["score"], atol=1e-6)
    labels = [x.decode() for x in np.reshape(got["label"], -1)]
    assert labels == plain["label"].tolist()


@case(
    "grpc.grpc_raw_inputs_with_missing_input_data", "grpc.grpc_raw_inputs_with_contents_specified"
)
def test_grpc_refuses_raw_data_for_some_inputs_only_and_beside_typed_data(
    server: Predictor,
) -> None:
    missing, twice = _infer_request(raw=True), _infer_request(raw=True)
    missing.inputs.add(name="text_pair", datatype="BYTES", shape=[2])
    twice.inputs[0].contents.bytes_contents.append(b"twice")
    for request in (missing, twice):
        with pytest.raises(grpc.RpcError) as error:
            _grpc(server, request)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def _infer_request(*, raw: bool) -> Any:
    texts = InferInput("text", [2], "BYTES")
    texts.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=raw)
    request = InferRequest("m", [texts], request_id="123").to_grpc()
    assert isinstance(request, pb2.ModelInferRequest)
    return request


def _grpc(running: Predictor, request: Any) -> Any:
    with grpc.insecure_channel(running.grpc_target) as channel:
        return pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=20)


def _binary(running: Predictor, content: bytes) -> Any:
    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    headers |= {"content-type": "application/json", "ce-content-type": "application/json"}
    return running.http.post(PREDICT, headers=headers, content=content)

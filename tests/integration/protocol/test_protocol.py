"""The Open Inference Protocol over REST: every body is checked against its schema."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.clients.protocol import check
from tests.support.clients.v2 import text_request

if TYPE_CHECKING:
    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration

TEXTS = ["the film was good", "a bad book"]
INFER = "/v2/models/m/infer"


@pytest.fixture(scope="module")
def version(server: Predictor) -> str:
    found: str = server.http.get("/v2/models/m").json()["versions"][0]
    return found


def test_the_server_says_what_it_is_and_which_extensions_it_has(server: Predictor) -> None:
    body = server.http.get("/v2").json()
    check(body, "metadata_server_response")
    assert set(body["extensions"]) == {
        "binary_tensor_data",
        "model_configuration",
        "model_repository",
        "statistics",
    }
    assert server.http.get("/v2/").json() == body


def test_a_model_says_what_it_is_with_and_without_its_version(
    server: Predictor, version: str
) -> None:
    body = server.http.get("/v2/models/m").json()
    check(body, "metadata_model_response")
    # One of the platforms that the protocol names.
    assert body["platform"] == "onnx_onnxv1"
    assert server.http.get(f"/v2/models/m/versions/{version}").json() == body


@pytest.mark.parametrize(
    "body",
    [
        text_request(TEXTS),
        text_request(TEXTS, top_k=2),
        text_request(TEXTS) | {"outputs": [{"name": "score"}, {"name": "label"}]},
        {"inputs": text_request(TEXTS)["inputs"]},
    ],
    ids=["all outputs", "best two", "chosen outputs", "no id"],
)
def test_requests_and_answers_follow_the_protocol(
    server: Predictor, version: str, body: dict[str, Any]
) -> None:
    check(body, "inference_request")
    for path in (INFER, f"/v2/models/m/versions/{version}/infer"):
        response = server.http.post(path, json=body)
        answer = response.json()
        assert response.status_code == 200, response.text
        check(answer, "inference_response")
        assert (answer["model_name"], answer["model_version"]) == ("m", version)
        assert answer["id"] == body.get("id", answer["id"])
        wanted = [output["name"] for output in body.get("outputs", [])]
        assert [output["name"] for output in answer["outputs"]] == wanted or not wanted
        for output in answer["outputs"]:
            assert len(output["data"]) == math.prod(output["shape"])


def test_the_json_part_of_a_binary_answer_follows_the_protocol(server: Predictor) -> None:
    body = text_request(TEXTS) | {"parameters": {"binary_data_output": True}}
    response = server.http.post(INFER, json=body)
    length = int(response.headers["inference-header-content-length"])
    answer = orjson.loads(response.content[:length])
    sizes = [output["parameters"]["binary_data_size"] for output in answer["outputs"]]
    assert sum(sizes) == len(response.content) - length
    # The binary extension moves the data behind the JSON.
    check(
        {**answer, "outputs": [output | {"data": []} for output in answer["outputs"]]},
        "inference_response",
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v2/models/other", 404, "there is no model other here"),
        ("GET", "/v2/models/other/ready", 404, "there is no model other here"),
        ("GET", "/v2/models/m/versions/0", 404, "m has no version 0 here"),
        ("GET", "/v2/models/m/versions/0/ready", 404, "m has no version 0 here"),
        ("POST", "/v2/models/other/infer", 404, "there is no model other here"),
        ("POST", "/v2/models/m/versions/0/infer", 404, "m has no version 0 here"),
        ("POST", INFER, 400, "the body is not a V2 inference request"),
        ("GET", "/v2/models/m/logging", 404, ""),
        ("GET", "/v2/nothing", 404, ""),
        ("GET", "/nothing", 404, ""),
        ("GET", INFER, 405, ""),
        ("POST", "/v2/models/m/ready", 405, ""),
        ("POST", "/v2", 405, ""),
        ("DELETE", "/v2/models/m", 405, ""),
        ("POST", "/v1/models/other:predict", 404, "there is no model other here"),
        ("POST", "/v1/models/other:explain", 404, ""),
        ("POST", "/v1/models/m:predict", 400, "the body is not JSON"),
        ("PUT", "/v1/models/m:predict", 405, ""),
        ("POST", "/v1/models/m:explain", 501, "explain"),
        ("POST", "/v2/repository/models/other/load", 404, "there is no model other here"),
        ("POST", "/v2/repository/models/other/unload", 404, "there is no model other here"),
        ("POST", "/v2/repository/index", 400, ""),
    ],
)
def test_errors_follow_the_protocol(
    server: Predictor, method: str, path: str, status: int, message: str
) -> None:
    content = b'{"instances": ["a"]}' if path.endswith(":explain") else b"{no JSON"
    response = server.http.request(method, path, content=content)
    assert response.status_code == status
    body = response.json()
    assert list(body) == ["error"]
    assert message in body["error"]
    check(body, "inference_error_response")
    assert response.headers["content-type"] == "application/json"


def test_a_body_needs_no_content_type(server: Predictor) -> None:
    content = orjson.dumps(text_request(TEXTS))
    response = server.http.post(INFER, content=content)
    assert "content-type" not in response.request.headers
    assert response.status_code == 200, response.text


def test_a_server_is_live_while_neither_it_nor_its_model_is_ready(loading: Predictor) -> None:
    live = loading.http.get("/v2/health/live")
    assert (live.status_code, live.json()) == (200, {"live": True})
    check(loading.http.get("/v2").json(), "metadata_server_response")
    for path in ("/v2/health/ready", "/v2/models/m/ready"):
        response = loading.http.get(path)
        assert (response.status_code, response.json()["ready"]) == (503, False)
    for refused in (loading.http.get("/v2/models/m"), loading.infer(text_request(TEXTS))):
        assert refused.status_code == 503
        check(refused.json(), "inference_error_response")


def test_readiness_names_the_model(server: Predictor, version: str) -> None:
    for path in ("/v2/models/m/ready", f"/v2/models/m/versions/{version}/ready"):
        response = server.http.get(path)
        assert (response.status_code, response.json()) == (200, {"name": "m", "ready": True})
    assert server.http.get("/v2/health/ready").status_code == 200

"""The REST routes over a real model, without a network between."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from prometheus_client import REGISTRY

from predictor.rest.app import RestApp
from predictor.serving.model import Model
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings
from tests.support.clients.asgi import others, request
from tests.support.clients.v2 import outputs_of, text_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


TEXTS = ["the film was good", "a bad book"]
INFER = "/v2/models/m/infer"


@pytest.fixture(scope="module")
def app(served: Model) -> RestApp:
    return RestApp(ServerState(Repository([served], served.settings)), others)


@pytest.fixture
def loading(tmp_path: Path) -> RestApp:
    """Over a model that is not loaded."""
    settings = Settings("m", tmp_path)
    return RestApp(ServerState(Repository([Model(settings)], settings)), others)


def test_texts_are_answered(app: RestApp) -> None:
    response = request(app, "POST", INFER, json=text_request(TEXTS))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.json()["id"] == "7"
    assert outputs_of(response.json())["label"].shape == (2,)


def test_a_body_needs_no_content_type_and_may_come_in_pieces(app: RestApp) -> None:
    content = json.dumps(text_request(TEXTS)).encode()
    whole = request(app, "POST", INFER, content=content)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 7):
            yield content[start : start + 7]

    cut = request(app, "POST", INFER, content=pieces())
    assert whole.status_code == cut.status_code == 200
    assert whole.json() == cut.json()


def test_a_version_may_be_named(app: RestApp, served: Model) -> None:
    version = served.loaded.version
    path = f"/v2/models/m/versions/{version}"
    assert request(app, "POST", f"{path}/infer", json=text_request(TEXTS)).status_code == 200
    assert request(app, "GET", path).json()["versions"] == [version]
    assert request(app, "GET", f"{path}/ready").json() == {"name": "m", "ready": True}


def test_binary_tensors_go_both_ways(app: RestApp) -> None:
    tensor = InferInput("text", [2], "BYTES")
    tensor.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=True)
    sent = InferRequest("m", [tensor], parameters={"binary_data_output": True})
    body, length = sent.to_rest()
    header = {"Inference-Header-Content-Length": str(length)}
    response = request(app, "POST", INFER, content=body, headers=header)
    assert response.headers["content-type"] == "application/octet-stream"
    received = InferResponse.from_bytes(
        response.content, int(response.headers["inference-header-content-length"])
    )
    plain = outputs_of(request(app, "POST", INFER, json=text_request(TEXTS)).json())
    got = {output.name: output.as_numpy() for output in received.outputs}
    np.testing.assert_allclose(got["probabilities"], plain["probabilities"], atol=1e-6)


def test_v1_is_answered_with_predictions(app: RestApp) -> None:
    response = request(app, "POST", "/v1/models/m:predict", json={"instances": TEXTS})
    assert response.status_code == 200, response.text
    v2 = outputs_of(request(app, "POST", INFER, json=text_request(TEXTS)).json())
    assert [row["label"] for row in response.json()["predictions"]] == v2["label"].tolist()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/models/other/infer"),
        ("POST", "/v2/models/other/versions/1/infer"),
        ("GET", "/v2/models/other"),
        ("GET", "/v2/models/other/ready"),
        ("POST", "/v1/models/other:predict"),
        ("GET", "/v1/models/other"),
    ],
)
def test_an_unknown_model_is_404(app: RestApp, method: str, path: str) -> None:
    response = request(app, method, path)
    assert (response.status_code, response.json()) == (
        404,
        {"error": "there is no model other here"},
    )


@pytest.mark.parametrize(("method", "what"), [("POST", "/infer"), ("GET", ""), ("GET", "/ready")])
def test_a_wrong_version_is_404(app: RestApp, method: str, what: str) -> None:
    response = request(app, method, f"/v2/models/m/versions/0{what}")
    assert (response.status_code, response.json()) == (404, {"error": "m has no version 0 here"})


@pytest.mark.parametrize("path", [INFER, "/v1/models/m:predict"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"{}"])
def test_a_body_that_is_no_request_is_400_with_the_reason(
    app: RestApp, path: str, body: bytes
) -> None:
    response = request(app, "POST", path, content=body)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert response.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/health/ready",
        "/v2/models/m/ready",
        "/v2/models/m",
        "/v2/models/m/versions/1/ready",
        "/v1/models/m",
    ],
)
def test_before_a_model_is_ready_it_is_503(loading: RestApp, path: str) -> None:
    response = request(loading, "GET", path)
    assert response.status_code == 503
    assert response.json().get("ready", False) is False


@pytest.mark.parametrize("path", [INFER, "/v1/models/m:predict"])
def test_before_a_model_is_ready_requests_are_503_with_the_reason(
    loading: RestApp, path: str
) -> None:
    body = {**text_request(TEXTS), "instances": TEXTS}
    response = request(loading, "POST", path, json=body)
    assert (response.status_code, response.json()) == (503, {"error": "model m is not ready"})


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/health/live", "/v1/models", "/metrics"])
def test_a_server_without_a_ready_model_is_alive(loading: RestApp, path: str) -> None:
    assert request(loading, "GET", path).status_code == 200


def test_the_server_and_the_model_say_what_they_are(app: RestApp, served: Model) -> None:
    assert request(app, "GET", "/").json() == {"status": "alive"}
    assert request(app, "GET", "/v2/health/live").json() == {"live": True}
    assert request(app, "GET", "/v2/health/ready").json() == {"ready": True}
    assert request(app, "GET", "/v1/models").json() == {"models": ["m"]}
    assert request(app, "GET", "/v2/models").json() == {"models": ["m"]}
    assert request(app, "GET", "/v2/").json() == request(app, "GET", "/v2").json()
    assert request(app, "GET", "/v1/models/m").json() == {"name": "m", "ready": True}
    assert request(app, "GET", "/v2/models/m").json() == served.current.metadata()
    server = request(app, "GET", "/v2").json()
    assert server["name"] == "warmstart"
    assert "binary_tensor_data" in server["extensions"]


def test_metrics_come_in_the_form_that_was_asked_for(app: RestApp) -> None:
    plain = request(app, "GET", "/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert "# TYPE warmstart_request_seconds histogram" in plain.text
    open_metrics = request(
        app, "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_requests_are_refused_that_would_hold_too_much_together(served: Model) -> None:
    settings = replace(served.settings, max_body_bytes=1000, max_pending_bytes=1000)
    state = ServerState(Repository([served], settings))
    app, bodies = RestApp(state, others), state.bodies
    labels = {"model_name": "m", "protocol": "rest-v2", "kind": "pending_bytes"}
    name = "warmstart_request_errors_total"
    before = REGISTRY.get_sample_value(name, labels) or 0
    with bodies.holding(900):
        refused = request(app, "POST", INFER, json=text_request(TEXTS))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "above 1000 (--max_pending_bytes)" in refused.json()["error"]
    assert request(app, "POST", INFER, json=text_request(TEXTS)).status_code == 200
    assert REGISTRY.get_sample_value(name, labels) == before + 1
    assert bodies.held == 0


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_cloud_events_are_kserves_in_both_of_their_forms(app: RestApp, verb: str) -> None:
    path = f"/v1/models/m:{verb}"
    binary, structured = {"ce-specversion": "1.0"}, {"content-type": "application/cloudevents+json"}
    for headers in (binary, structured):
        answer = request(app, "POST", path, headers=headers, content=b"a body")
        assert (answer.status_code, answer.text) == (418, f"POST {path} a body")
    assert request(app, "GET", path, headers=binary).status_code == 405


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("POST", "/v2/models/m/versions"),
        ("GET", "/v2/models/m/stats"),
        ("GET", "/v2/health"),
        ("POST", "/v2/repository/models/m/config"),
        ("DELETE", "/v3/%22"),
    ],
)
def test_an_unknown_path_is_404_and_named(app: RestApp, method: str, path: str) -> None:
    response = request(app, method, path)
    named = path.replace("%22", '"')
    assert (response.status_code, response.json()) == (
        404,
        {"error": f"there is nothing at {named}"},
    )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", INFER, "POST"),
        ("POST", "/v2/models/m", "GET, HEAD"),
        ("DELETE", "/v2/models/m/ready", "GET, HEAD"),
        ("PUT", "/v1/models/m:predict", "POST"),
        ("POST", "/v2/health/live", "GET, HEAD"),
        ("PATCH", "/metrics", "GET, HEAD"),
        ("GET", "/v2/repository/index", "POST"),
        ("GET", "/v2/repository/models/m/load", "POST"),
        ("PUT", "/rerank", "POST"),
        ("GET", "/v2/rerank", "POST"),
        ("OPTIONS", INFER, "POST"),
    ],
)
def test_a_wrong_method_is_405_and_says_which_is_right(
    app: RestApp, method: str, path: str, allowed: str
) -> None:
    response = request(app, method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert response.json() == {"error": f"{path} takes {allowed}, not {method}"}


def test_head_is_answered_as_get_is(app: RestApp) -> None:
    for path in ("/v2/health/live", "/v2/models/m/ready", "/metrics"):
        assert request(app, "HEAD", path).status_code == 200


def test_explaining_is_501_for_a_model_that_is_ready(app: RestApp, loading: RestApp) -> None:
    path = "/v1/models/m:explain"
    response = request(app, "POST", path, json={"instances": TEXTS})
    assert (response.status_code, response.json()) == (501, {"error": "model m has no explainer"})
    assert request(loading, "POST", path).status_code == 503
    assert request(app, "POST", "/v1/models/other:explain").status_code == 404


@pytest.mark.parametrize("path", [INFER, "/v1/models/m:predict"])
def test_what_nobody_foresaw_is_500_with_the_reason_and_is_logged(
    app: RestApp,
    served: Model,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("the disk is on fire")

    for name in ("infer", "predict"):
        monkeypatch.setattr(served.current, name, fail)
    response = request(app, "POST", path, json={**text_request(TEXTS), "instances": TEXTS})
    assert response.status_code == 500
    assert response.json() == {"error": "the request failed: the disk is on fire"}
    assert f"{path} failed" in caplog.text
    assert "Traceback" in caplog.text


def test_many_requests_at_once_get_each_their_own_answer(app: RestApp) -> None:
    words = ["good", "bad", "poor film", "a great screen", "never again", "works well"]

    async def ask(client: httpx.AsyncClient, text: str) -> Any:
        response = await client.post(INFER, json=text_request([text]))
        return outputs_of(response.json())["probabilities"][0]

    async def both() -> tuple[list[Any], list[Any]]:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            alone = [await ask(client, text) for text in words]
            at_once = await asyncio.gather(*(ask(client, text) for text in words * 10))
            return alone, list(at_once)

    alone, at_once = asyncio.run(both())
    np.testing.assert_allclose(at_once, alone * 10, atol=1e-4)
    assert np.abs(np.diff(alone, axis=0)).max(axis=1).min() > 1e-3, "texts must be told apart"

"""The REST application answers with a real model; there is no network."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from predictor.rest.app import RestApp
from predictor.serving.model import Model
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings
from tests.support.clients.asgi import others, request
from tests.support.clients.v2 import outputs_of, text_request

if TYPE_CHECKING:
    from pathlib import Path


TEXTS = ["the film was good", "a bad book"]
INFER = "/v2/models/m/infer"


@pytest.fixture(scope="module")
def app(served: Model) -> RestApp:
    return RestApp(ServerState(Repository([served], served.settings)), others)


@pytest.fixture
def loading(tmp_path: Path) -> RestApp:
    """An application whose model is not loaded."""
    settings = Settings("m", tmp_path)
    return RestApp(ServerState(Repository([Model(settings)], settings)), others)


def test_texts_are_answered(app: RestApp) -> None:
    response = request(app, "POST", INFER, json=text_request(TEXTS))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.json()["id"] == "7"
    assert outputs_of(response.json())["label"].shape == (2,)


@pytest.mark.parametrize("path", [INFER, "/v1/models/m:predict"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"{}"])
def test_a_malformed_body_is_400_with_a_reason(app: RestApp, path: str, body: bytes) -> None:
    response = request(app, "POST", path, content=body)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert response.json()["error"]


@pytest.mark.parametrize("path", [INFER, "/v1/models/m:predict", "/v1/models/m:explain"])
def test_requests_for_a_model_that_is_not_loaded_are_503(loading: RestApp, path: str) -> None:
    body = {**text_request(TEXTS), "instances": TEXTS}
    response = request(loading, "POST", path, json=body)
    assert (response.status_code, response.json()) == (503, {"error": "model m is not ready"})


def test_a_model_that_is_not_loaded_is_not_ready_in_any_version(loading: RestApp) -> None:
    for path in ("/v2/models/m/ready", "/v2/models/m/versions/1/ready", "/v1/models/m"):
        response = request(loading, "GET", path)
        assert response.status_code == 503
        assert response.json().items() >= {"name": "m", "ready": False}.items()


def test_a_stuck_lane_makes_the_process_not_live(
    app: RestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> list[tuple[int, dict[str, Any]]]:
        answers = [request(app, "GET", path) for path in ("/v2/health/live", "/")]
        return [(answer.status_code, answer.json()) for answer in answers]

    assert told() == [(200, {"live": True}), (200, {"status": "alive"})]
    monkeypatch.setattr(Model, "live", False)
    assert told() == [(503, {"live": False}), (503, {"status": "stuck"})]


def test_metrics_have_the_requested_format(app: RestApp) -> None:
    plain = request(app, "GET", "/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert "# TYPE warmstart_request_seconds histogram" in plain.text
    open_metrics = request(
        app, "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_swagger_ui_is_served_with_its_files_only_if_it_is_enabled(
    app: RestApp, served: Model
) -> None:
    assert request(app, "GET", "/docs").status_code == 404
    settings = replace(served.settings, enable_docs_url=True)
    documented = RestApp(ServerState(Repository([served], settings)), others)
    page = request(documented, "GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "openapi.json" in page.text
    files = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text)
    types = [request(documented, "GET", f"/{path}").headers["content-type"] for path in files]
    assert types == ["text/css", "text/javascript"]


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_cloud_events_of_both_forms_go_to_kserve(app: RestApp, verb: str) -> None:
    path = f"/v1/models/m:{verb}"
    binary, structured = {"ce-specversion": "1.0"}, {"content-type": "application/cloudevents+json"}
    for headers in (binary, structured):
        answer = request(app, "POST", path, headers=headers, content=b"a body")
        assert (answer.status_code, answer.text) == (418, f"POST {path} a body")
    assert request(app, "GET", path, headers=binary).status_code == 405


def test_head_is_answered_as_get(app: RestApp) -> None:
    for path in ("/v2/health/live", "/v2/models/m/ready", "/metrics"):
        assert request(app, "HEAD", path).status_code == 200
    refused = request(app, "HEAD", INFER)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nothing", "there is nothing at /nothing"),
        ("/v1/models/other", "there is no model other here"),
        ("/v2/models/m/versions/0", "m has no version 0 here"),
    ],
)
def test_an_unknown_path_model_or_version_is_404(app: RestApp, path: str, reason: str) -> None:
    response = request(app, "GET", path)
    assert (response.status_code, response.json()) == (404, {"error": reason})


@pytest.mark.parametrize("path", [INFER, "/v1/models/m:predict"])
def test_an_unexpected_error_is_500_with_a_reason_and_is_logged(
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

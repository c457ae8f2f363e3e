"""Routes that only KServe's own application answers, on the same port."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from benchmarks.harness.process import Predictor, predictor
from tests.support.clients.v2 import outputs_of, text_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TEXTS = ["the film was good", "a bad book"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "predictor.log"


@pytest.fixture(scope="module")
def documented(prepared_classifier: Path, log: Path) -> Iterator[Predictor]:
    """A server with Swagger UI, which a variable asks for, and a log of JSON."""
    flags = ("--variant=fp32", "--log_format=json")
    with ExitStack() as stack:
        # For this start only: the servers that other tests share may start later.
        with mock.patch.dict(os.environ, {"WARMSTART_ENABLE_DOCS_URL": "true"}):
            running = stack.enter_context(predictor(prepared_classifier, log, *flags))
        yield running


def test_the_variable_turns_swagger_on(documented: Predictor) -> None:
    page = documented.http.get("/docs")
    assert page.status_code == 200
    assert "swagger-ui" in page.text
    described = documented.http.get("/openapi.json").json()
    assert "/v2/models/m/infer" in described["paths"]
    assert "/v1/models/m:predict" in described["paths"]


def test_swagger_is_off_by_default(server: Predictor) -> None:
    assert server.http.get("/docs").status_code == 404
    assert server.http.get("/openapi.json").status_code == 200


def test_a_cloud_event_is_answered_by_kserves_own_application(documented: Predictor) -> None:
    headers = {"ce-id": "1", "ce-source": "here", "ce-type": "texts", "ce-specversion": "1.0"}
    url = "/v1/models/m:predict"
    event = documented.http.post(url, json={"instances": TEXTS}, headers=headers).json()
    body = outputs_of(documented.infer(text_request(TEXTS)).json())
    assert body["label"].shape == (2,)
    v1 = documented.predict({"instances": TEXTS}).json()["predictions"]
    assert [row["label"] for row in v1] == body["label"].tolist()
    assert event["predictions"] == v1


def test_kserves_application_does_not_change_the_log(documented: Predictor, log: Path) -> None:
    for _ in range(3):
        documented.http.get("/openapi.json")
        documented.infer(text_request(TEXTS))
    lines = log.read_text().splitlines()
    assert all(json.loads(line) for line in lines)
    assert "imported KServe's own server" in log.read_text()
    assert not [line for line in lines if "/openapi.json" in line], "no line a request"

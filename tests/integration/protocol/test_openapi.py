"""The served OpenAPI document: its examples and methods are the server's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.clients.openapi import answer_validator, body_validator, examples, operations
from tests.support.clients.waiting import wait_until_ready
from tests.support.models.tasks import TASKS

if TYPE_CHECKING:
    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def document(every_server: Predictor) -> dict[str, Any]:
    described: dict[str, Any] = every_server.http.get("/openapi.json").json()
    return described


def test_every_example_is_answered_unchanged(
    every_server: Predictor, document: dict[str, Any]
) -> None:
    shown = list(examples(document))
    # Unloading comes last: an unloaded model answers no example.
    shown.sort(key=lambda example: example.path.endswith("/unload"))
    asked = set()
    for example in shown:
        response = every_server.http.request(example.method, example.path, json=example.body)
        assert response.status_code == httpx.codes.OK, (example, response.text)
        asked.add((example.method, example.path))
        if response.headers.get("content-type") == "application/json":
            answer_validator(document, example.method, example.path).validate(response.json())
        if example.body is not None:
            body_validator(document, example.path).validate(example.body)
        if example.path.endswith("/unload"):
            load = example.path.removesuffix("unload") + "load"
            assert every_server.http.post(load).status_code == httpx.codes.OK
    assert asked == {(method, path) for method, path, _ in operations(document)}
    wait_until_ready(every_server)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_examples_over_both_protocols(document: dict[str, Any], task: str) -> None:
    of_task = [e for e in examples(document) if f"/{task}/infer" in e.path or f"/{task}:" in e.path]
    v2 = {e.title for e in of_task if e.path.startswith("/v2/")}
    v1 = {e.title for e in of_task if e.path.startswith("/v1/")}
    assert v2 == v1 | {"tensors"}
    assert len(v1) >= 2


def test_a_wrong_method_is_405_on_every_path_with_the_right_ones(
    every_server: Predictor, document: dict[str, Any]
) -> None:
    for path, methods in document["paths"].items():
        allowed = {name.upper() for name in methods} | ({"HEAD"} if "get" in methods else set())
        for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - allowed:
            response = every_server.http.request(method, path)
            told = (response.status_code, set(response.headers["allow"].split(", ")))
            assert told == (405, allowed), (method, path)
            if method != "HEAD":
                assert response.json().keys() & {"error", "message"}, (method, path)

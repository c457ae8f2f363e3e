"""What a rollout reads in a cluster's objects, and the part of a service that it writes."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.rollout import service as services
from pipeline.rollout.service import Canary, Pods, Service, ServiceError, State


def named(service: dict[str, Any]) -> State:
    """The state of an InferenceService, without a cluster."""
    blank = object.__new__(Service)
    blank.namespace, blank.name = "models", "sentiment"
    return blank._state(service)


def isvc(predictor: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": {}}, "spec": {"predictor": predictor}, "status": status}


def test_the_version_is_a_variable_of_the_model() -> None:
    env = [{"name": "A", "value": "b"}, {"name": services.VERSION_VARIABLE, "value": "0" * 16}]
    found = isvc({"model": {"env": env}}, deploymentMode="Standard")
    assert named(found) == State("0" * 16, None)
    assert named(isvc({"model": {}})) == State(None, None)
    found["metadata"]["annotations"][services.PREVIOUS] = "1" * 16
    assert named(found).previous == "1" * 16


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        (isvc({"containers": []}), "rolled out by the image's tag"),
        (isvc({"model": {}}, deploymentMode="Knative"), "runs in mode Knative"),
    ],
)
def test_a_service_that_names_no_version_is_refused(service: dict[str, Any], problem: str) -> None:
    with pytest.raises(ServiceError, match=problem):
        named(service)


def test_a_canary_keeps_the_models_other_variables_because_kserve_replaces_the_list() -> None:
    model = {
        "modelFormat": {"name": "warmstart"},
        "env": [{"name": "A", "value": "b"}, {"name": services.VERSION_VARIABLE, "value": "old"}],
    }
    made = services._canary(model, Canary("new", 5))
    assert made["trafficPercent"] == 5
    variables = {each["name"]: each["value"] for each in made["predictor"]["model"]["env"]}
    assert variables == {"A": "b", services.VERSION_VARIABLE: "new"}


@pytest.mark.parametrize(
    ("pods", "done"),
    [(Pods(2, 2, 2, 2), True), (Pods(2, 2, 1, 2), False), (Pods(2, 2, 2, 3), False)],
)
def test_a_deployment_is_done_when_no_old_pod_is_left(pods: Pods, done: bool) -> None:
    assert pods.done is done


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ({"exitCode": 1, "message": "starting\nself-test failed\n"}, "self-test failed"),
        ({"exitCode": 137, "reason": "OOMKilled"}, "OOMKilled (exit status 137)"),
    ],
)
def test_a_pods_last_words_are_its_last_line_or_why_it_was_killed(
    ended: dict[str, Any], said: str
) -> None:
    assert services._last_words({"state": {}, "lastState": {"terminated": ended}}) == said

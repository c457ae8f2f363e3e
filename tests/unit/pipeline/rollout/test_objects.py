"""What a rollout reads in a cluster's objects, and the parts of a service that it writes."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.rollout import objects
from pipeline.rollout.objects import (
    CONTAINER,
    VERSION_VARIABLE,
    Canary,
    Pods,
    ServiceError,
    State,
    canary_spec,
    failures_of,
    state_of,
    weight_of,
)
from predictor.settings import parse_settings


def isvc(predictor: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": {}}, "spec": {"predictor": predictor}, "status": status}


def test_the_version_is_a_variable_of_the_model() -> None:
    env = [{"name": "A", "value": "b"}, {"name": VERSION_VARIABLE, "value": "0" * 16}]
    found = isvc({"model": {"env": env}}, deploymentMode="Standard")
    assert state_of(found) == State("0" * 16, None)
    assert state_of(isvc({"model": {}})) == State(None, None)
    found["metadata"]["annotations"][objects.PREVIOUS] = "1" * 16
    assert state_of(found).previous == "1" * 16
    found["spec"]["canary"] = [canary_spec({"modelFormat": {}}, Canary("2" * 16, 5))]
    assert state_of(found).canary == "2" * 16


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        (isvc({"containers": []}), "rolled out by the image's tag"),
        (isvc({"model": {}}, deploymentMode="Knative"), "runs in mode Knative"),
    ],
)
def test_a_service_that_names_no_version_is_refused(service: dict[str, Any], problem: str) -> None:
    with pytest.raises(ServiceError, match=problem):
        state_of(service)


def test_a_canary_keeps_the_models_other_variables_because_kserve_replaces_the_list() -> None:
    model = {
        "modelFormat": {"name": "warmstart"},
        "env": [{"name": "A", "value": "b"}, {"name": VERSION_VARIABLE, "value": "old"}],
    }
    made = canary_spec(model, Canary("new", 5))
    assert made["trafficPercent"] == 5
    variables = {each["name"]: each["value"] for each in made["predictor"]["model"]["env"]}
    assert variables == {"A": "b", VERSION_VARIABLE: "new"}


@pytest.mark.parametrize(
    ("pods", "done"),
    [(Pods(2, 2, 2, 2), True), (Pods(2, 2, 1, 2), False), (Pods(2, 2, 2, 3), False)],
)
def test_a_deployment_is_done_when_no_old_pod_is_left(pods: Pods, done: bool) -> None:
    assert pods.done is done


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ({"exitCode": 1, "message": "starting\nself-test failed\n"}, ["self-test failed"]),
        ({"exitCode": 1, "message": '{"level": "ERROR", "message": "no model"}'}, ["no model"]),
        ({"exitCode": 137, "reason": "OOMKilled"}, ["OOMKilled (exit status 137)"]),
        ({"exitCode": 0, "reason": "Completed"}, []),
    ],
)
def test_a_pods_failure_is_its_last_log_line_or_why_it_was_killed(
    ended: dict[str, Any], said: list[str]
) -> None:
    env = [{"name": VERSION_VARIABLE, "value": "new"}]
    status = {"name": CONTAINER, "state": {}, "lastState": {"terminated": ended}}
    pod = {
        "spec": {"containers": [{"name": CONTAINER, "env": env}]},
        "status": {"containerStatuses": [status]},
    }
    assert failures_of(pod, "new") == said
    assert failures_of(pod, "old") == []


def test_the_variable_is_the_predictors() -> None:
    assert parse_settings([], {VERSION_VARIABLE: "0" * 16}).model_version == "0" * 16


def test_a_services_weight_in_a_route_is_its_largest_and_1_by_default() -> None:
    rules = [
        {"backendRefs": [{"name": "stable", "weight": 90}, {"name": "canary", "weight": 10}]},
        {"backendRefs": [{"name": "stable"}]},
        {},
    ]
    route = {"spec": {"rules": rules}}
    assert weight_of(route, "canary") == 10
    assert weight_of(route, "stable") == 90
    assert weight_of({"spec": {"rules": rules[1:]}}, "stable") == 1
    assert weight_of(route, "other") == 0
    assert weight_of({"spec": {}}, "canary") == 0

"""What a rollout reads in the objects of a cluster, and the parts of a service that it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from storage_init.base.errors import WarmstartError

VERSION_VARIABLE = "WARMSTART_MODEL_VERSION"
# The version to put back, kept in the cluster while a rollout is under way.
PREVIOUS = "warmstart.dev/previous-version"
CONTAINER = "kserve-container"
CANARY = "canary"


class ServiceError(WarmstartError):
    """The cluster refuses, or the InferenceService is not one that a rollout can change."""


@dataclass(frozen=True)
class State:
    """What an InferenceService names.

    ``version`` is None where its pods serve the store's ``current``. ``previous`` is what an
    unfinished rollout would put back. ``canary`` is the version of a rollout's canary.
    """

    version: str | None
    previous: str | None
    canary: str | None = None


@dataclass(frozen=True)
class Canary:
    """A second Deployment of one pod that gets ``percent`` of the requests."""

    version: str
    percent: int


@dataclass(frozen=True)
class Pods:
    """How many pods a Deployment wants, and has updated, available and in total."""

    wanted: int
    updated: int
    available: int
    total: int

    def __str__(self) -> str:
        return f"{self.updated} of {self.wanted} pods are updated, {self.available} available"

    @property
    def done(self) -> bool:
        """Whether all pods are updated and available, and no old one is left."""
        return self.updated == self.available == self.total == self.wanted


def state_of(service: dict[str, Any]) -> State:
    """Return what an InferenceService names.

    Raises:
        ServiceError: no rollout can change it; the message says why, without its name.
    """
    predictor = service["spec"]["predictor"]
    mode = (service.get("status") or {}).get("deploymentMode", "Standard")
    if "model" not in predictor:
        raise ServiceError(
            "it has no spec.predictor.model, where a version can be named: a model that is in the "
            "image is rolled out by the image's tag"
        )
    if mode != "Standard":
        raise ServiceError(
            f"it runs in mode {mode}: name the version in its manifest, where Knative makes a "
            "revision of it (component canary-knative)"
        )
    return State(
        version=_version(predictor["model"]),
        previous=(service["metadata"].get("annotations") or {}).get(PREVIOUS),
        canary=_canary_of(service["spec"]),
    )


def pods_of(deployment: dict[str, Any], version: str) -> Pods | None:
    """Count a Deployment's pods; None until its controller has seen ``version``."""
    status = deployment.get("status") or {}
    if _named(deployment["spec"]["template"]["spec"]) != version:
        return None
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return None
    return Pods(
        wanted=deployment["spec"]["replicas"],
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
        total=status.get("replicas", 0),
    )


def failures_of(pod: dict[str, Any], version: str) -> list[str]:
    """Return why the predictor of a pod of ``version`` has ended; nothing if it has not."""
    if _named(pod["spec"]) != version:
        return []
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    ended = [_ended(status) for status in statuses if status["name"] == CONTAINER]
    return [_last_words(each) for each in ended if each.get("exitCode")]


def weight_of(route: dict[str, Any], service: str) -> int:
    """Return the largest weight that a rule of an HTTPRoute gives to a Service."""
    rules = route["spec"].get("rules") or []
    backends = [backend for rule in rules for backend in rule.get("backendRefs") or []]
    # Gateway API's default weight is 1.
    return max((each.get("weight", 1) for each in backends if each["name"] == service), default=0)


def named_version(version: str) -> dict[str, Any]:
    """Return the part of a ``predictor`` that names a version."""
    return {"model": {"env": [_variable(version)]}}


def canary_spec(model: dict[str, Any], canary: Canary) -> dict[str, Any]:
    """Return an entry of ``canary`` beside the stable ``model``."""
    # KServe replaces the whole list of variables by a canary's.
    others = [v for v in model.get("env") or [] if v["name"] != VERSION_VARIABLE]
    return {
        "trafficPercent": canary.percent,
        "predictor": {
            "name": CANARY,
            "minReplicas": 1,
            "model": {
                "name": CONTAINER,
                "modelFormat": model["modelFormat"],
                "env": [*others, _variable(canary.version)],
            },
        },
    }


def _variable(version: str) -> dict[str, str]:
    return {"name": VERSION_VARIABLE, "value": version}


def _version(container: dict[str, Any]) -> str | None:
    variables = {v["name"]: v.get("value") for v in container.get("env") or []}
    return variables.get(VERSION_VARIABLE)


def _canary_of(spec: dict[str, Any]) -> str | None:
    predictors = [each["predictor"] for each in spec.get("canary") or []]
    ours = (each["model"] for each in predictors if each.get("name") == CANARY)
    return next(map(_version, ours), None)


def _named(pod: dict[str, Any]) -> str | None:
    return next((_version(c) for c in pod["containers"] if c["name"] == CONTAINER), None)


def _ended(status: dict[str, Any]) -> dict[str, Any]:
    now, before = status.get("state") or {}, status.get("lastState") or {}
    ended: dict[str, Any] = now.get("terminated") or before.get("terminated") or {}
    return ended


def _last_words(ended: dict[str, Any]) -> str:
    """The last line of a container's log, or why it was killed."""
    lines = (ended.get("message") or "").strip().splitlines()
    if not lines:
        return f"{ended.get('reason')} (exit status {ended['exitCode']})"
    try:
        return str(msgspec.json.decode(lines[-1])["message"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return lines[-1]

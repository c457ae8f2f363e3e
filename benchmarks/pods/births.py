"""Pods of an InferenceService that come into being, as a watch tells of them.

Milestones have the times at which this program hears of them: the API server's own times are whole
seconds of another clock.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from kubernetes import watch
from kubernetes.client.exceptions import ApiException

from benchmarks.harness.http import ServerFailedError
from benchmarks.pods.starts import READY

READY_SECONDS = 1800
WATCH_SECONDS = 60
GONE = 410
CONDITIONS = {"PodScheduled": "scheduled", "Initialized": "initialised", "Ready": READY}
# Reasons for which a container waits in vain.
HOPELESS = {
    *("CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError"),
    *("RunContainerError", "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"),
    "InvalidImageName",
}
UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3}
DURATION = r"([\d.]+)(h|ms|m|s)"


@dataclass(frozen=True)
class Pods:
    """The pods of a service's predictor."""

    api: Any
    namespace: str
    service: str

    @property
    def selector(self) -> str:
        """Their labels."""
        return f"serving.kserve.io/inferenceservice={self.service},component=predictor"

    def list(self) -> Any:
        """All that are there now, with the version to watch from."""
        return self.api.list_namespaced_pod(self.namespace, label_selector=self.selector)

    def wait(self, birth: Birth, version: str) -> Any:
        """Wait until the new pod is ready, and return it.

        Raises:
            ServerFailedError: it is not ready in time, or cannot become ready.
        """
        deadline = time.monotonic() + READY_SECONDS
        while READY not in birth.milestones:
            if time.monotonic() > deadline:
                raise ServerFailedError(f"no new pod of {self.service} was ready in time")
            watching = watch.Watch()
            try:
                for event in watching.stream(
                    self.api.list_namespaced_pod,
                    self.namespace,
                    label_selector=self.selector,
                    resource_version=version,
                    timeout_seconds=WATCH_SECONDS,
                ):
                    birth.note(event["object"])
                    if READY in birth.milestones:
                        return birth.pod
                version = watching.resource_version
            except ApiException as error:
                if error.status != GONE:
                    raise
                listed = self.list()  # the watch begins anew from what there is now
                version = listed.metadata.resource_version
                for pod in listed.items:
                    birth.note(pod)
        return birth.pod

    def spent(self, pod: Any) -> dict[str, float]:
        """How many seconds each image pull and each init container took."""
        events = self.api.list_namespaced_event(
            self.namespace, field_selector=f"involvedObject.uid={pod.metadata.uid}"
        )
        found = {}
        for event in events.items:
            name = re.search(r"{(.*)}", event.involved_object.field_path or "")
            seconds = pull_seconds(event.message or "")
            if event.reason == "Pulled" and name and seconds is not None:
                found[f"image of {name[1]}"] = seconds
        return found | _init_containers(pod)


@dataclass
class Birth:
    """The first pod that was not known before; ``zero`` is when it was asked for."""

    known: set[str]
    zero: float = field(default_factory=time.perf_counter)
    milestones: dict[str, float] = field(default_factory=dict)
    pod: Any = None

    def note(self, pod: Any) -> None:
        """Take a state of any pod of the service, as a watch gives it.

        Raises:
            ServerFailedError: the new pod will not become ready.
        """
        now = time.perf_counter() - self.zero
        # A second new pod comes if several were missing.
        is_second = self.pod is not None and pod.metadata.uid != self.pod.metadata.uid
        if pod.metadata.uid in self.known or is_second:
            return
        self.pod = pod
        for name in reached(pod):
            self.milestones.setdefault(name, now)
        inits, others = pod.status.init_container_statuses, pod.status.container_statuses
        for status in [*(inits or []), *(others or [])]:
            waiting = status.state.waiting
            if waiting and waiting.reason in HOPELESS:
                raise ServerFailedError(
                    f"{pod.metadata.name}, {status.name}: {waiting.reason}: {waiting.message}"
                )


def pull_seconds(message: str) -> float | None:
    """Seconds in a kubelet's ``Successfully pulled image "…" in 1m2.5s (…)``; None if none."""
    found = re.search(rf" in ((?:{DURATION})+)", message)
    parts = re.findall(DURATION, found[1]) if found else []
    return sum(float(number) * UNITS[unit] for number, unit in parts) if parts else None


def reached(pod: Any) -> list[str]:
    """The milestones that a pod has reached."""
    true = {c.type for c in pod.status.conditions or [] if c.status == "True"}
    found = ["created", *(name for kind, name in CONDITIONS.items() if kind in true)]
    statuses = pod.status.container_statuses or []
    if statuses and all(status.state.running for status in statuses):
        found.insert(-1 if READY in found else len(found), "started")
    return found


def _init_containers(pod: Any) -> dict[str, float]:
    """How many seconds each init container took; Kubernetes reports whole seconds."""
    ended = ((s.name, s.state.terminated) for s in pod.status.init_container_statuses or [])
    return {
        f"init container {name}": (state.finished_at - state.started_at).total_seconds()
        for name, state in ended
        if state
    }

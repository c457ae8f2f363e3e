"""A pod of an InferenceService, deleted on a cluster and replaced by its Deployment.

Milestones have the times at which this program hears of them from a watch: the API server's own
times are whole seconds of another clock.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

from benchmarks.harness.http import ANSWER_SECONDS, JSON, Http, ServerFailedError
from benchmarks.pods.starts import READY, Ask, Started

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
class Kubernetes:
    """The predictor of an InferenceService.

    Args:
        api: the cluster's API.
        namespace, service: of the InferenceService; its model has the service's name.
        direct: ask at the pod's own address, from within the cluster, not through the API server.
        port: the pod's REST port.
    """

    api: Any
    namespace: str
    service: str
    direct: bool = False
    port: int = 8080
    name: str = "kubernetes"

    @property
    def about(self) -> str:
        version = client.VersionApi(self.api.api_client).get_code().git_version
        way = "at the pod's address" if self.direct else "through the API server's proxy"
        return (
            f"a pod of {self.namespace}/{self.service} is deleted, and another takes its place; "
            f"Kubernetes {version}, asked {way}"
        )

    @contextmanager
    def started(self) -> Iterator[Started]:
        """Start a predictor as ``Target`` says; the new pod stays."""
        known = self._pods()
        old = self._oldest_ready(known.items)
        birth = _Birth({pod.metadata.uid for pod in known.items})
        self.api.delete_namespaced_pod(old.metadata.name, self.namespace)
        self._wait(birth, known.metadata.resource_version)
        pod = birth.pod
        with self._asking(pod) as ask:
            spent = self._pulls(pod) | _init_containers(pod)
            yield Started(self.service, ask, birth.milestones, spent, pod.spec.node_name)

    @property
    def _selector(self) -> str:
        return f"serving.kserve.io/inferenceservice={self.service},component=predictor"

    def _pods(self) -> Any:
        return self.api.list_namespaced_pod(self.namespace, label_selector=self._selector)

    def _oldest_ready(self, pods: list[Any]) -> Any:
        ready = [p for p in pods if READY in _reached(p) and not p.metadata.deletion_timestamp]
        if not ready:
            raise ServerFailedError(
                f"no pod of InferenceService {self.service} in {self.namespace} is ready: "
                f"kubectl get pods -n {self.namespace} -l {self._selector}"
            )
        return min(ready, key=lambda pod: pod.metadata.creation_timestamp)

    def _wait(self, birth: _Birth, version: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while READY not in birth.milestones:
            if time.monotonic() > deadline:
                raise ServerFailedError(f"no new pod of {self.service} was ready in time")
            watching = watch.Watch()
            try:
                for event in watching.stream(
                    self.api.list_namespaced_pod,
                    self.namespace,
                    label_selector=self._selector,
                    resource_version=version,
                    timeout_seconds=WATCH_SECONDS,
                ):
                    birth.note(event["object"])
                    if READY in birth.milestones:
                        return
                version = watching.resource_version
            except ApiException as error:
                if error.status != GONE:
                    raise
                listed = self._pods()  # the watch begins anew from what there is now
                version = listed.metadata.resource_version
                for pod in listed.items:
                    birth.note(pod)

    def _asking(self, pod: Any) -> AbstractContextManager[Ask]:
        if self.direct:
            return closing(Http(self.port, pod.status.pod_ip))
        address = f"{pod.metadata.name}:{self.port}"
        base = f"/api/v1/namespaces/{self.namespace}/pods/{address}/proxy"
        return nullcontext(_Proxy(self.api.api_client, base))

    def _pulls(self, pod: Any) -> dict[str, float]:
        """Seconds of each image's pull, from the kubelet's events; none if it was there."""
        events = self.api.list_namespaced_event(
            self.namespace, field_selector=f"involvedObject.uid={pod.metadata.uid}"
        )
        found = {}
        for event in events.items:
            name = re.search(r"{(.*)}", event.involved_object.field_path or "")
            seconds = pull_seconds(event.message or "")
            if event.reason == "Pulled" and name and seconds is not None:
                found[f"image of {name[1]}"] = seconds
        return found


@dataclass
class _Birth:
    """The first pod that was not known before; ``zero`` is when the old one was deleted."""

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
        for name in _reached(pod):
            self.milestones.setdefault(name, now)
        inits, others = pod.status.init_container_statuses, pod.status.container_statuses
        for status in [*(inits or []), *(others or [])]:
            waiting = status.state.waiting
            if waiting and waiting.reason in HOPELESS:
                raise ServerFailedError(
                    f"{pod.metadata.name}, {status.name}: {waiting.reason}: {waiting.message}"
                )


@dataclass(frozen=True)
class _Proxy:
    """Asks through the API server, which works wherever kubectl works."""

    api_client: Any
    base: str

    def __call__(self, method: str, path: str, body: Any = None) -> bytes:
        try:
            response = self.api_client.call_api(
                self.base + path,
                method,
                header_params=dict(JSON),
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=ANSWER_SECONDS,
            )
        except ApiException as error:
            raise ServerFailedError(
                f"{method} {path} is answered {error.status}: {error.body}"
            ) from error
        content: bytes = response.read()
        return content


def connect(context: str | None) -> Any:
    """Connect to a cluster as kubectl does, or to the cluster that this runs in.

    Raises:
        ServerFailedError: no cluster is configured.
    """
    try:
        config.load_config(context=context)
    except config.ConfigException as error:
        raise ServerFailedError(f"no cluster: {error}") from error
    return client.CoreV1Api()


def pull_seconds(message: str) -> float | None:
    """Seconds in a kubelet's ``Successfully pulled image "…" in 1m2.5s (…)``; None if none."""
    found = re.search(rf" in ((?:{DURATION})+)", message)
    parts = re.findall(DURATION, found[1]) if found else []
    return sum(float(number) * UNITS[unit] for number, unit in parts) if parts else None


def _reached(pod: Any) -> list[str]:
    """The milestones that a pod has reached."""
    true = {c.type for c in pod.status.conditions or [] if c.status == "True"}
    reached = ["created", *(name for kind, name in CONDITIONS.items() if kind in true)]
    statuses = pod.status.container_statuses or []
    if statuses and all(status.state.running for status in statuses):
        reached.insert(-1 if READY in reached else len(reached), "started")
    return reached


def _init_containers(pod: Any) -> dict[str, float]:
    """Seconds that each init container took, in whole ones."""
    ended = ((s.name, s.state.terminated) for s in pod.status.init_container_statuses or [])
    return {
        f"init container {name}": (state.finished_at - state.started_at).total_seconds()
        for name, state in ended
        if state
    }

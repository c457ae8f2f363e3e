"""A Kubernetes API server for tests: the routes that measure a pod's cold start.

Objects have the shape of a real cluster's (1.30). A pod's life is a list of its states; once a
pod is deleted, the next life is played to the watchers.
"""

from __future__ import annotations

import copy
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.support.servers.serving import Answer, Call, json_answer, serve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Object = dict[str, Any]

NAMESPACE, SERVICE, NODE = "models", "sentiment", "node-1"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SERVICES = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"
STEP_SECONDS = 0.02
CREATED, BEGUN, ENDED = (f"2026-01-02T03:04:0{second}Z" for second in (1, 3, 5))
IMAGE = "registry.example.com/warmstart/predictor:0.1.0"
STATUS = {
    "start_seconds": {"python": 0.1, "server_imported": 0.4, "ready": 0.5},
    "models": [{"name": SERVICE, "load_seconds": {"session": 0.04, "total": 0.1}}],
}


def pod(uid: str, *conditions: str, **status: Any) -> Object:
    """Return a pod whose conditions of these types are true."""
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    known = [
        {"type": kind, "status": str(kind in conditions), "lastTransitionTime": CREATED}
        for kind in kinds
    ]
    return {
        "metadata": {
            "name": f"{SERVICE}-predictor-{uid}",
            "namespace": NAMESPACE,
            "uid": uid,
            "creationTimestamp": CREATED,
            "labels": {"serving.kserve.io/inferenceservice": SERVICE, "component": "predictor"},
        },
        "spec": {
            "containers": [{"name": "kserve-container", "image": IMAGE}],
            **({"nodeName": NODE} if "PodScheduled" in conditions else {}),
        },
        "status": {"phase": "Pending", "podIP": "10.0.0.7", "conditions": known, **status},
    }


def container(name: str, **state: Object) -> Object:
    """Return a container's entry in a pod's status."""
    common = {"image": IMAGE, "imageID": "", "restartCount": 0, "ready": "running" in state}
    return {"name": name, "state": state, "lastState": {}, **common}


def life(uid: str) -> list[Object]:
    """Return the states of a pod whose storage initializer runs for two seconds."""
    terminated = {"exitCode": 0, "startedAt": BEGUN, "finishedAt": ENDED, "reason": "Completed"}
    done = [container("storage-initializer", terminated=terminated)]
    waiting = [container("kserve-container", waiting={"reason": "PodInitializing"})]
    running = [container("kserve-container", running={"startedAt": ENDED})]
    reached = ("PodScheduled", "Initialized")
    return [
        pod(uid),
        pod(uid, "PodScheduled", containerStatuses=waiting),
        pod(uid, *reached, initContainerStatuses=done, containerStatuses=waiting),
        pod(uid, *reached, initContainerStatuses=done, containerStatuses=running),
        pod(
            uid,
            *(*reached, "ContainersReady", "Ready"),
            initContainerStatuses=done,
            containerStatuses=running,
        ),
    ]


def pulled(uid: str, container: str, message: str) -> Object:
    """Return the kubelet's event for a pulled image."""
    return {
        "metadata": {"name": f"{uid}.{container}", "namespace": NAMESPACE},
        "involvedObject": {"uid": uid, "fieldPath": f"spec.containers{{{container}}}"},
        "reason": "Pulled",
        "message": message,
    }


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        pods: the present pods.
        lives: lives of the pods to come, one after each deletion.
        forgets: how many watches are told that their version is too old.
        unreachable: how many requests to the Service find no endpoint.
    """

    url: str
    pods: list[Object]
    lives: list[list[Object]]
    events: list[Object] = field(default_factory=list)
    forgets: int = 0
    unreachable: int = 0
    deleted: list[str] = field(default_factory=list)
    selectors: set[str] = field(default_factory=set)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    begun: list[Object] = field(default_factory=list)
    services: list[Object] = field(default_factory=list)

    def delete(self, name: str) -> Object:
        """Delete a pod and begin its successor's life."""
        gone = next(pod for pod in self.pods if pod["metadata"]["name"] == name)
        self.deleted.append(name)
        self.pods.remove(gone)
        self.begun = self.lives.pop(0)
        return gone

    def play(self) -> Iterator[Object]:
        """Yield the events of a watch, and change the pods with each."""
        known = copy.deepcopy(self.pods)
        for state in self.begun:
            time.sleep(STEP_SECONDS)
            self.pods = [*known, state]
            yield {"type": "ADDED" if state is self.begun[0] else "MODIFIED", "object": state}

    def respond(self, call: Call) -> Answer:
        """Answer as the API server does."""
        query = {name: values[0] for name, values in parse_qs(call.query).items()}
        if call.path.startswith(SERVICES):
            return self._service(call)
        if call.method == "DELETE":
            return json_answer(self.delete(call.path.rpartition("/")[2]))
        if call.path == "/version/":
            return json_answer({"gitVersion": "v1.30.2", "major": "1", "minor": "30"} | _VERSION)
        if call.path == PODS:
            self.selectors.add(query["labelSelector"])
            return self._watch() if query.get("watch") == "True" else _list(self.pods)
        if call.path == PODS.replace("pods", "events"):
            uid = query["fieldSelector"].removeprefix("involvedObject.uid=")
            return _list([e for e in self.events if e["involvedObject"]["uid"] == uid])
        return self._proxy(call.path, json.loads(call.body) if call.body else None)

    def _service(self, call: Call) -> Answer:
        """Create or delete the InferenceService: its pods come and go with it."""
        if call.method == "POST":
            self.services.append(json.loads(call.body))
            self.begun = self.lives.pop(0)
            return json_answer(self.services[-1])
        if not self.services:
            return json_answer({"kind": "Status", "message": "not found"}, 404)
        self.pods = []
        return json_answer(self.services.pop())

    def _watch(self) -> Answer:
        events: Iterable[Object] = self.play()
        if self.forgets:
            self.forgets -= 1
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            events = [{"type": "ERROR", "object": gone}]
        lines = (json.dumps(event).encode() + b"\n" for event in events)
        return Answer(200, {"Content-Type": "application/json"}, stream=lines)

    def _proxy(self, path: str, body: Any) -> Answer:
        """The predictor behind ``/proxy``, and a 404 for everything that is not there."""
        at = f"{PODS}/{self.pods[-1]['metadata']['name']}:8080/proxy"
        service = f"{PODS[:-4]}services/http:{SERVICE}-predictor:80/proxy"
        if path.startswith(service) and self.unreachable:
            self.unreachable -= 1
            return json_answer({"kind": "Status", "message": "no endpoints available"}, 503)
        inside = path.removeprefix(at).removeprefix(service)
        self.asked.append((inside, body))
        if inside == "/status":
            return json_answer(STATUS)
        if inside == f"/v2/models/{SERVICE}/infer":
            return json_answer({"model_name": SERVICE, "outputs": []})
        return json_answer({"kind": "Status", "message": "not found"}, 404)


def _list(items: list[Object]) -> Answer:
    return json_answer({"kind": "List", "metadata": {"resourceVersion": "7"}, "items": items})


@contextmanager
def cluster(pods: list[Object], *lives: list[Object]) -> Iterator[Cluster]:
    """Answer as a cluster with some pods."""
    with serve(lambda url: Cluster(url, pods, list(lives))) as running:
        yield running


# The client refuses an answer without all of them.
_VERSION = dict.fromkeys(
    ("buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform"), ""
)

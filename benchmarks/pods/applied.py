"""An InferenceService that is created anew on a cluster, from ``kubectl apply`` to its answer."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from benchmarks.harness.http import Http, ServerFailedError
from benchmarks.pods.births import READY_SECONDS, Birth, Pods
from benchmarks.pods.kserve import Document
from benchmarks.pods.kubernetes import ApiProxy, server
from benchmarks.pods.starts import FIRST_ANSWER, Ask, Started

KIND = ("serving.kserve.io", "v1beta1")
PLURAL = "inferenceservices"
NOT_FOUND = 404
POLL_SECONDS = 0.02
# kube-proxy routes the Service to a ready pod about a second later.
REACHED_SECONDS = 120


@dataclass(frozen=True)
class Applied:
    """A service of some manifests; what else they hold is on the cluster already.

    Args:
        api: the cluster's API.
        namespace: in which the service is made.
        name: of the target.
        document: the InferenceService; its model has its name.
        body: a V2 request that it answers.
        direct: ask at the Service's address, from a node or a pod, not through the API server.
        before: a command of the shell for the time between two starts, such as one that empties a
            store.
    """

    api: Any
    namespace: str
    name: str
    document: Document
    body: Any
    direct: bool = False
    before: str = ""

    @property
    def about(self) -> str:
        way = "at its Service's address" if self.direct else "through the API server's proxy"
        before = f" after `{self.before}`" if self.before else ""
        return f"an InferenceService is created{before}; {server(self.api)}, asked {way}"

    @contextmanager
    def started(self) -> Iterator[Started]:
        """Create the service as ``Target`` says; it stays until the target's next start."""
        service = self.document["metadata"]["name"]
        pods = Pods(self.api, self.namespace, service)
        self._remove(pods)
        if self.before:
            _run(self.before)
        version = pods.list().metadata.resource_version
        birth = Birth(set())
        self._custom("create", self.document)
        pod = pods.wait(birth, version)
        with self._asking(service) as ask:
            birth.milestones[FIRST_ANSWER] = self._answered(ask, service, birth)
            yield Started(service, ask, birth.milestones, pods.spent(pod), pod.spec.node_name)
        self._remove(pods)

    def _answered(self, ask: Ask, service: str, birth: Birth) -> float:
        """When the Service gave its first answer: it learns of a ready pod a little later."""
        deadline = time.monotonic() + REACHED_SECONDS
        while why := _refused(ask, f"/v2/models/{service}/infer", self.body):
            if time.monotonic() > deadline:
                raise why
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - birth.zero

    def _asking(self, service: str) -> AbstractContextManager[Ask]:
        name = f"{service}-predictor"
        if self.direct:
            found = self.api.read_namespaced_service(name, self.namespace)
            return closing(Http(80, found.spec.cluster_ip))
        path = f"/api/v1/namespaces/{self.namespace}/services/http:{name}:80/proxy"
        return nullcontext(ApiProxy(self.api.api_client, path))

    def _remove(self, pods: Pods) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self._custom("delete", pods.service) or pods.list().items:
            if time.monotonic() > deadline:
                raise ServerFailedError(f"{pods.service} is not removed: kubectl describe it")
            time.sleep(POLL_SECONDS)

    def _custom(self, verb: str, argument: Any) -> bool:
        """Create or delete the service; False if it is not there."""
        custom = client.CustomObjectsApi(self.api.api_client)
        try:
            getattr(custom, f"{verb}_namespaced_custom_object")(
                *KIND, self.namespace, PLURAL, argument
            )
        except ApiException as error:
            if error.status == NOT_FOUND:
                return False
            raise ServerFailedError(f"{self.name}: {verb} is refused: {error.body}") from error
        return True


def _refused(ask: Ask, path: str, body: Any) -> ServerFailedError | None:
    try:
        ask("POST", path, body)
    except ServerFailedError as error:
        return error
    return None


def _run(command: str) -> None:
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - it is the user's
    if done.returncode:
        raise ServerFailedError(f"{command}: {done.stderr.strip()}")

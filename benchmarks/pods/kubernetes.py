"""A pod of an InferenceService, deleted on a cluster and replaced by its Deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from benchmarks.harness.http import ANSWER_SECONDS, JSON, Http, ServerFailedError
from benchmarks.pods.births import Birth, Pods, reached
from benchmarks.pods.starts import READY, Ask, Started


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
        way = "at the pod's address" if self.direct else "through the API server's proxy"
        return (
            f"a pod of {self.namespace}/{self.service} is deleted, and another takes its place; "
            f"{server(self.api)}, asked {way}"
        )

    @contextmanager
    def started(self) -> Iterator[Started]:
        """Start a predictor as ``Target`` says; the new pod stays."""
        pods = Pods(self.api, self.namespace, self.service)
        known = pods.list()
        old = _oldest_ready(pods, known.items)
        birth = Birth({pod.metadata.uid for pod in known.items})
        self.api.delete_namespaced_pod(old.metadata.name, self.namespace)
        pod = pods.wait(birth, known.metadata.resource_version)
        with self._asking(pod) as ask:
            spent = pods.spent(pod)
            yield Started(self.service, ask, birth.milestones, spent, pod.spec.node_name)

    def _asking(self, pod: Any) -> AbstractContextManager[Ask]:
        if self.direct:
            return closing(Http(self.port, pod.status.pod_ip))
        address = f"{pod.metadata.name}:{self.port}"
        base = f"/api/v1/namespaces/{self.namespace}/pods/{address}/proxy"
        return nullcontext(ApiProxy(self.api.api_client, base))


def _oldest_ready(pods: Pods, found: list[Any]) -> Any:
    ready = [pod for pod in found if READY in reached(pod) and not pod.metadata.deletion_timestamp]
    if not ready:
        raise ServerFailedError(
            f"no pod of InferenceService {pods.service} in {pods.namespace} is ready: "
            f"kubectl get pods -n {pods.namespace} -l {pods.selector}"
        )
    return min(ready, key=lambda pod: pod.metadata.creation_timestamp)


@dataclass(frozen=True)
class ApiProxy:
    """Asks a pod or a service through the API server, which works wherever kubectl works."""

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


def server(api: Any) -> str:
    """The cluster's version, for a report."""
    return f"Kubernetes {client.VersionApi(api.api_client).get_code().git_version}"

"""An InferenceService in the cluster: which version it names, and whether its pods serve it.

The version is the variable ``WARMSTART_MODEL_VERSION`` of the model's container. Kubernetes merges
variables by name, so a rollout owns that one entry by server-side apply and leaves the rest of the
service to whoever applies the manifests.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import msgspec
import requests

from pipeline.rollout.objects import (
    CANARY,
    PREVIOUS,
    VERSION_VARIABLE,
    Canary,
    Pods,
    ServiceError,
    State,
    canary_spec,
    failures_of,
    named_version,
    pods_of,
    state_of,
    weight_of,
)
from pipeline.rollout.replay import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

KSERVE = "serving.kserve.io/v1beta1"
FIELD_MANAGER = "warmstart-rollout"
# Set in every pod.
INSIDE = "KUBERNETES_SERVICE_HOST"
# KServe writes the status of a service often, and each write changes its resource version.
WRITE_ATTEMPTS = 10


class ConflictError(ServiceError):
    """Somebody else changed the version at the same time, or owns the variable."""


class Service:
    """One InferenceService; errors of the Kubernetes client become a :class:`ServiceError`.

    ``context`` is one of the kubeconfig's; inside a pod its service account is used.

    Raises:
        ServiceError: there is no cluster to talk to, or it has no KServe.
    """

    def __init__(self, namespace: str, name: str, context: str | None = None) -> None:
        from kubernetes import client, config, dynamic

        self.namespace, self.name = namespace, name
        try:
            # A service account, which is what a pod has, knows no contexts.
            config.load_config(**({"context": context} if context else {}))
        except config.ConfigException as error:
            raise ServiceError(f"no cluster is configured: {error}") from error
        with self._readable_errors():
            self._cluster = dynamic.DynamicClient(client.ApiClient())
            self._services = self._cluster.resources.get(
                api_version=KSERVE, kind="InferenceService"
            )

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def read(self) -> State:
        """Return what the service names now.

        Raises:
            ServiceError: it does not exist, or no rollout can change it; the message says why.
        """
        return self._state(self._get())

    def name_version(
        self, version: str | None, previous: str | None, seen: State, canary: Canary | None = None
    ) -> State:
        """Name a version, and a canary's, if nobody has changed them since ``seen``.

        Args:
            version: None leaves it to the store's ``current``.
            previous: what to put back if the rollout fails; None once it has ended.
            seen: the state to change.
            canary: a second version beside the first.

        Raises:
            ConflictError: somebody has changed it, or another field manager owns the variable.
            ServiceError: the cluster refuses.
        """
        for _ in range(WRITE_ATTEMPTS):
            found = self._get()
            if self._state(found) != seen:
                raise ConflictError(
                    f"{self} was changed meanwhile: it names {self._state(found).version}, not "
                    f"{seen.version}. Look who else rolls it out, then start again"
                )
            if self._write(found, version, previous, canary):
                return self.read()
        raise ServiceError(f"{self} changes too often to be written")

    def pods(self, version: str, deployment: str = "") -> Pods | None:
        """Count a Deployment's pods; None until KServe has put ``version`` into it.

        ``deployment``: the canary's name within the service, empty for the stable one.
        """
        from kubernetes.dynamic.exceptions import NotFoundError

        name = self.deployment(deployment)
        with self._readable_errors():
            deployments = self._cluster.resources.get(api_version="apps/v1", kind="Deployment")
            try:
                found = deployments.get(name=name, namespace=self.namespace).to_dict()
            except NotFoundError:
                return None
        return pods_of(found, version)

    def deployment(self, part: str = "") -> str:
        """The name that KServe gives to a predictor's Deployment and Service."""
        return "-".join(filter(None, (self.name, part, "predictor")))

    def address(self, deployment: str = "") -> Address:
        """Where the pods of a Deployment answer: their Service, from outside through the API."""
        name = self.deployment(deployment)
        session = requests.Session()
        # The environment's proxies and certificates are for the world outside the cluster.
        session.trust_env = False
        if INSIDE in os.environ:
            return Address(session, f"http://{name}.{self.namespace}", self.name)
        api = self._cluster.client.configuration
        session.verify = api.ssl_ca_cert or api.verify_ssl
        session.cert = (api.cert_file, api.key_file) if api.cert_file else None
        if token := api.get_api_key_with_prefix("authorization"):
            session.headers["Authorization"] = token
        path = f"/api/v1/namespaces/{self.namespace}/services/http:{name}:80/proxy"
        return Address(session, api.host + path, self.name)

    def failures(self, version: str) -> list[str]:
        """Return why pods of ``version`` have ended, in their own last words."""
        selector = f"serving.kserve.io/inferenceservice={self.name}"
        with self._readable_errors():
            resource = self._cluster.resources.get(api_version="v1", kind="Pod")
            pods = resource.get(namespace=self.namespace, label_selector=selector).to_dict()
        return [why for pod in pods["items"] for why in failures_of(pod, version)]

    def splits_traffic(self) -> bool:
        """Whether KServe writes the service's route by the Gateway API, which a canary needs."""
        return self._route() is not None

    def canary_weight(self) -> int:
        """The weight of a rollout's canary in the service's route; 0 if it gets no request."""
        route = self._route()
        return 0 if route is None else weight_of(route, self.deployment(CANARY))

    def _route(self) -> dict[str, Any] | None:
        from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError

        with self._readable_errors():
            try:
                resource = self._cluster.resources.get(
                    api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute"
                )
                found = resource.get(name=self.name, namespace=self.namespace)
            except (ResourceNotFoundError, NotFoundError):
                return None
        return dict(found.to_dict())

    def _get(self) -> dict[str, Any]:
        with self._readable_errors():
            found: dict[str, Any] = self._services.get(
                name=self.name, namespace=self.namespace
            ).to_dict()
        return found

    def _state(self, found: dict[str, Any]) -> State:
        try:
            return state_of(found)
        except ServiceError as error:
            raise ServiceError(f"{self}: {error}") from error

    def _write(
        self,
        found: dict[str, Any],
        version: str | None,
        previous: str | None,
        canary: Canary | None,
    ) -> bool:
        """Apply our fields alone; False if the object changed since it was read."""
        from kubernetes.dynamic.exceptions import ConflictError as Conflict

        model = found["spec"]["predictor"]["model"]
        metadata: dict[str, Any] = {
            "name": self.name,
            "namespace": self.namespace,
            "resourceVersion": found["metadata"]["resourceVersion"],
        }
        if previous is not None:
            metadata["annotations"] = {PREVIOUS: previous}
        spec: dict[str, Any] = {}
        if version is not None:
            spec["predictor"] = named_version(version)
        if canary is not None:
            spec["canary"] = [canary_spec(model, canary)]
        kind = {"apiVersion": KSERVE, "kind": "InferenceService"}
        with self._readable_errors():
            try:
                self._services.server_side_apply(
                    body={**kind, "metadata": metadata, "spec": spec}, field_manager=FIELD_MANAGER
                )
            except Conflict as error:
                # The other kind of conflict: the object has changed since it was read.
                if b"FieldManagerConflict" not in error.body:
                    return False
                raise ConflictError(
                    f"another field manager sets {VERSION_VARIABLE} of {self}: change the version "
                    f"where that one reads it, such as in git ({_message(error)})"
                ) from error
        return True

    @contextlib.contextmanager
    def _readable_errors(self) -> Iterator[None]:
        import urllib3
        from kubernetes.client import ApiException
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        try:
            yield
        except ResourceNotFoundError as error:
            raise ServiceError(f"the cluster has no KServe: {error}") from error
        except ApiException as error:
            raise ServiceError(f"{self}: {_message(error)}") from error
        except urllib3.exceptions.HTTPError as error:
            raise ServiceError(f"the cluster does not answer: {error}") from error


def _message(error: Any) -> str:
    """What the API server said."""
    try:
        return str(msgspec.json.decode(error.body)["message"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return f"{error.status} {error.reason}"

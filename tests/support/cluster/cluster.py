"""A cluster through ``kubectl`` and the Kubernetes client, as KUBECONFIG names it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from benchmarks.pods.kubernetes import ApiProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.pods.kserve import Document
    from tests.support.cluster.options import Options

GROUP, VERSION = "serving.kserve.io", "v1beta1"
CONFIG = "inferenceservice-config"
POLL_SECONDS = 0.2
NOT_FOUND = 404
T = TypeVar("T")


def wait_for(
    condition: Callable[[], T], seconds: float, what: str, why: Callable[[], object] = str
) -> T:
    """Return the first true value of a condition; fail with ``what`` and ``why`` if none comes."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what} {why()}")
        time.sleep(POLL_SECONDS)
    return value


def wait_while(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Fail as soon as a condition does not hold, and pass when it held for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), what
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Cluster:
    """The cluster that KUBECONFIG names."""

    options: Options

    @cached_property
    def api(self) -> Any:
        """The API of pods, namespaces and events."""
        return client.CoreV1Api()

    @cached_property
    def custom(self) -> Any:
        """The API of KServe's kinds."""
        return client.CustomObjectsApi()

    @cached_property
    def kserve_config(self) -> dict[str, Any]:
        """KServe's config map, each key decoded."""
        maps = self.api.list_config_map_for_all_namespaces(field_selector=f"metadata.name={CONFIG}")
        data = maps.items[0].data if maps.items else {}
        return {key: json.loads(text) for key, text in data.items() if text.startswith("{")}

    def has_kinds(self, group: str) -> bool:
        """Whether the API server knows kinds of a group."""
        return bool(self.kubectl("api-resources", f"--api-group={group}", "-o=name").strip())

    def kubectl(self, *arguments: str, given: str | bytes | None = None) -> str:
        """Run kubectl and return its output; fail the test if it fails."""
        done = self.tried(*arguments, given=given)
        if done.returncode:
            pytest.fail(f"kubectl {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout.decode()

    def tried(
        self, *arguments: str, given: str | bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run kubectl, whatever comes of it."""
        found = shutil.which("kubectl", path=sysconfig.get_path("scripts")) or "kubectl"
        content = given.encode() if isinstance(given, str) else given
        return subprocess.run([found, *arguments], input=content, capture_output=True, check=False)

    def apply(self, documents: list[Document], namespace: str, *flags: str) -> str:
        """Apply objects as ``kubectl apply`` does, unknown fields refused."""
        text = yaml.safe_dump_all(documents)
        return self.kubectl("apply", "-n", namespace, "-f", "-", *flags, given=text)

    def ask(self, resource: str, namespace: str, name: str) -> ApiProxy:
        """Ask a pod or a service over HTTP, which works wherever kubectl works."""
        path = f"/api/v1/namespaces/{namespace}/{resource}/{name}/proxy"
        return ApiProxy(self.api.api_client, path)

    def service(self, namespace: str, name: str) -> Document:
        """An InferenceService as it is now; an empty mapping if there is none."""
        try:
            found: Document = self.custom.get_namespaced_custom_object(
                GROUP, VERSION, namespace, "inferenceservices", name
            )
        except ApiException as error:
            if error.status == NOT_FOUND:
                return {}
            raise
        return found


def connect(options: Options) -> Cluster:
    """Connect to the cluster that KUBECONFIG names; skip the test if there is none with KServe."""
    try:
        config.load_config()
    except config.ConfigException as error:
        pytest.skip(f"there is no cluster: {error}")
    cluster = Cluster(options)
    if not cluster.has_kinds(GROUP):
        pytest.skip("the cluster has no KServe")
    return cluster

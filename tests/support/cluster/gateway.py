"""KServe's Gateway: the way by which a canary gets its share of the requests."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from benchmarks.harness.http import JSON, Http, ServerFailedError
from tests.support.clients.v2 import text_request
from tests.support.cluster.cluster import Cluster, wait_for
from tests.support.cluster.service import TEXT, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

LEADS_SECONDS = 120


def splits(cluster: Cluster) -> bool:
    """Whether KServe routes by the Gateway API, without which a canary gets no request."""
    return bool(cluster.kserve_config.get("ingress", {}).get("enableGatewayApi"))


class Gateway:
    """A service's address at the Gateway; ``versions`` counts the answers of each version."""

    def __init__(self, service: Service, url: str) -> None:
        parts = urlsplit(url)
        self._http = Http(parts.port or 80, str(parts.hostname))
        self._host = urlsplit(service.object["status"]["url"]).netloc
        self._path = f"/v2/models/{service.name}/infer"
        self.versions: Counter[str] = Counter()

    def infer(self) -> str:
        """Ask for one text; returns the version that answered.

        Raises:
            ServerFailedError: the answer is not a success.
        """
        answer = self._http("POST", self._path, text_request([TEXT]), {**JSON, "Host": self._host})
        version = str(json.loads(answer)["model_version"])
        self.versions[version] += 1
        return version

    def leads(self) -> bool:
        """Whether the Gateway knows the service."""
        try:
            return bool(self.infer())
        except ServerFailedError:
            return False

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


@contextmanager
def gateway(service: Service) -> Iterator[Gateway]:
    """A ready service through the Gateway; skips the test where no Gateway is known."""
    options = service.space.cluster.options
    if not splits(service.space.cluster):
        pytest.skip("the cluster has no Gateway API (ingress.enableGatewayApi in KServe's config)")
    if not options.gateway:
        pytest.skip("no --gateway was given, the address of KServe's Gateway")
    service.wait_until_ready()
    made = Gateway(service, options.gateway)
    try:
        wait_for(made.leads, LEADS_SECONDS, "the Gateway leads to the service")
        made.versions.clear()
        yield made
    finally:
        made.close()

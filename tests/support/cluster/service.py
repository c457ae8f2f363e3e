"""An InferenceService on a cluster: its conditions, its pods, and its answers."""

from __future__ import annotations

import json
import threading
import time
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.harness.http import ServerFailedError
from tests.support.clients.v2 import text_request
from tests.support.cluster.adapt import adapted
from tests.support.cluster.cluster import wait_for
from tests.support.manifests.render import SERVICE, Setup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.pods.kserve import Document
    from tests.support.cluster.space import Space

READY_SECONDS = 120
PER_SECOND = 50
TEXT = "the film was good"


@dataclass(frozen=True)
class Service:
    """The InferenceService of a setup, or another one in a namespace."""

    space: Space
    name: str = SERVICE
    port: int = 80

    @property
    def object(self) -> Document:
        """The InferenceService as the API server has it."""
        return self.space.cluster.service(self.space.name, self.name)

    @property
    def conditions(self) -> dict[str, Document]:
        """Its conditions by their types."""
        found = self.object.get("status", {}).get("conditions", [])
        return {condition["type"]: condition for condition in found}

    @property
    def pods(self) -> list[Any]:
        """Its predictor's pods that are not on their way out, the oldest first."""
        return self.space.pods(self.selector)

    @property
    def selector(self) -> str:
        """The labels of its predictor's pods."""
        return f"serving.kserve.io/inferenceservice={self.name},component=predictor"

    def is_ready(self) -> bool:
        """Whether KServe says so; its observedGeneration is the Deployment's and tells nothing."""
        return bool(self.conditions.get("Ready", {}).get("status") == "True")

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until KServe says that it is ready."""
        wait_for(self.is_ready, seconds, f"{self.name} is ready", lambda: self.conditions)

    def ask(self, path: str, body: Any = None) -> Any:
        """Ask the Service that clients use: POST with a body, else GET.

        Raises:
            ServerFailedError: the answer is not a success.
        """
        target = f"http:{self.name}-predictor:{self.port}"
        proxy = self.space.cluster.ask("services", self.space.name, target)
        return json.loads(proxy("GET" if body is None else "POST", path, body))

    def infer(self) -> Any:
        """Its answer to a text."""
        body = text_request([TEXT])
        return self.ask(f"/v2/models/{self.name}/infer", body)["outputs"]

    def versions(self) -> list[str]:
        """The versions that its server serves."""
        return [str(model["version"]) for model in self.ask("/status")["models"]]

    def container(self) -> Any:
        """The state of the only container of its oldest pod; None before there is one."""
        pods = self.pods
        statuses = pods[0].status.container_statuses if pods else None
        return statuses[0] if statuses else None

    def log(self) -> str:
        """What the oldest pod's container has logged; empty before it runs."""
        if not self.pods:
            return ""
        where = ("-n", self.space.name, self.pods[0].metadata.name, "-c", "kserve-container")
        return self.space.cluster.tried("logs", *where).stdout.decode()

    def patch(self, *operations: Document) -> None:
        """Change it with JSON patch operations."""
        text = json.dumps(operations)
        where = ("-n", self.space.name, "inferenceservice", self.name)
        self.space.cluster.kubectl("patch", *where, "--type=json", "-p", text)

    def asked(self) -> AbstractContextManager[Load]:
        """Ask it steadily while a block runs."""
        return asked(self.infer)


@contextmanager
def asked(ask: Callable[[], Any], per_second: float = PER_SECOND) -> Iterator[Load]:
    """Ask steadily from a thread while the block runs."""
    load = Load(ask, 1 / per_second)
    thread = threading.Thread(target=load.run)
    thread.start()
    try:
        yield load
    finally:
        load.stop.set()
        thread.join()


@dataclass
class Load:
    """Requests one after another, at most one per interval; ``failures`` are their errors."""

    ask: Callable[[], Any]
    interval: float
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until told to stop."""
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                self.ask()
                self.answered += 1
            except ServerFailedError as error:
                self.failures.append(str(error))
            self.stop.wait(max(0.0, self.interval - (time.monotonic() - begun)))


def one_pod(service: Document) -> None:
    """Change an InferenceService to one pod."""
    service["spec"]["predictor"]["minReplicas"] = 1


def deploy(
    space: Space, setup: Setup, change: Callable[[Document], object] = lambda _: None
) -> Service:
    """Apply a setup, its InferenceService changed before, and return that service."""
    documents = adapted(setup, space)
    for document in documents:
        if document["kind"] == "InferenceService":
            change(document)
    space.apply(*documents)
    return Service(space)

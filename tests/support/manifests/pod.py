"""The pods of a setup: what KServe makes of its services, and its jobs'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.pods.kserve import Document, of_kind, pod_of, predictors
from predictor.settings import parse_settings
from tests.support.manifests.render import Setup, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from predictor.settings import Settings


def served(setup: Setup) -> Iterator[tuple[Document, Document, Document]]:
    """Every service of a setup with each of its predictors and the pod of that."""
    documents = render(setup)
    for service in of_kind(documents, "InferenceService"):
        for predictor in predictors(service):
            yield service, predictor, pod_of(service, predictor, documents)


def pods(setup: Setup) -> list[Document]:
    """Every pod of a setup: predictors' and jobs'."""
    jobs = of_kind(render(setup), "CronJob")
    templates = [job["spec"]["jobTemplate"]["spec"]["template"] for job in jobs]
    return [*(pod for _, _, pod in served(setup)), *templates]


def settings_of(container: Document) -> Settings:
    """The predictor's settings, as it would read them."""
    environ = {each["name"]: each["value"] for each in container["env"]}
    return parse_settings(container["args"], environ)


def mode(service: Document) -> str:
    """How KServe deploys a service."""
    return str(service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"])

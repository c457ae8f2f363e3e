"""The pods of a setup: those that KServe makes of its services, and its jobs'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.pods.kserve import Document, of_kind, pod_of, predictors
from predictor.settings import parse_settings
from tests.support.manifests.render import Setup, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from predictor.settings import Settings


def served(setup: Setup) -> Iterator[tuple[Document, Document, Document]]:
    """Yield each service of a setup with each of its predictors and that predictor's pod."""
    documents = render(setup)
    for service in of_kind(documents, "InferenceService"):
        for predictor in predictors(service):
            yield service, predictor, pod_of(service, predictor, documents)


def pods(setup: Setup) -> list[Document]:
    """Return the pods of a setup's predictors and jobs."""
    jobs = of_kind(render(setup), "CronJob")
    templates = [job["spec"]["jobTemplate"]["spec"]["template"] for job in jobs]
    return [*(pod for _, _, pod in served(setup)), *templates]


def settings_of(container: Document) -> Settings:
    """Return the settings that a predictor reads in a container."""
    environ = {each["name"]: each["value"] for each in container["env"]}
    return parse_settings(container["args"], environ)


def mode(service: Document) -> str:
    """Return the mode in which KServe deploys a service."""
    return str(service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"])

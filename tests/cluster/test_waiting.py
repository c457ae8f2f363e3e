"""A model that is still being downloaded when its pod starts, as with a LocalModelCache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.pods.kserve import of_kind
from tests.support.cluster.cluster import wait_for
from tests.support.cluster.service import deploy
from tests.support.manifests.render import Setup, render

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.pods.kserve import Document
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]

CACHE = Setup("overlays/pvc", ("storage/local-nvme",))
FOLDER = "cached/sentiment"


def test_a_pod_waits_for_the_download_that_fills_its_folder(
    namespace: Space, store: ModelStore, package: Path
) -> None:
    """KServe turns a cached URI into a folder of a claim, which is empty until the job is done."""
    (cached,) = of_kind(render(CACHE), "InferenceService")

    def use_the_folder(service: Document) -> None:
        service["spec"]["predictor"]["minReplicas"] = 1
        model = service["spec"]["predictor"]["model"]
        model |= {
            "storageUri": f"pvc://model-store/{FOLDER}",
            "args": cached["spec"]["predictor"]["model"].get("args", []),
        }

    store.run("mkdir", "-p", f"/mnt/store/{FOLDER}")
    service = deploy(namespace, Setup("overlays/pvc"), use_the_folder)
    wait_for(lambda: "waiting for the model" in service.log(), 60, "it says so", service.log)
    store.copy(package, f"/mnt/store/{FOLDER}")
    service.wait_until_ready()
    assert service.container().restart_count == 0
    assert service.infer()

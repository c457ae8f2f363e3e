"""What a person sees when a service does not start, and that docs/troubleshooting.md has it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.cluster import wait_for
from tests.support.cluster.service import Service, deploy
from tests.support.manifests.render import ROOT, Setup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.pods.kserve import Document
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
SECONDS = 60


def set_predictor(service: Document, **fields: object) -> None:
    service["spec"]["predictor"] |= fields


def set_model(service: Document, **fields: object) -> None:
    service["spec"]["predictor"]["model"] |= fields


@pytest.mark.parametrize(
    ("overlay", "change", "message"),
    [
        pytest.param(
            "on-demand",
            partial(set_model, storageUri="hf://owner/name"),
            "does not support storageUri",
            id="hf-without-revision",
        ),
        pytest.param(
            "on-demand",
            partial(set_model, storageUri="s3://another-bucket/model"),
            "does not support storageUri",
            id="another-bucket",
        ),
        pytest.param(
            "pvc",
            partial(set_model, protocolVersion="grpc-v2"),
            "Specified runtime does not support specified protocol version",
            id="grpc-without-its-component",
        ),
        pytest.param(
            "pvc",
            partial(set_model, runtime="warmstrat"),
            "Waiting for runtime to become available",
            id="no-such-runtime",
        ),
        pytest.param(
            "pvc",
            partial(set_model, runtime=None, modelFormat={"name": "unknown"}),
            "No runtime found to support",
            id="no-runtime-for-the-format",
        ),
        pytest.param(
            "pvc",
            partial(set_predictor, serviceAccountName="none"),
            "not found",
            id="no-such-service-account",
        ),
    ],
)
def test_a_refused_service_has_its_reason_in_a_condition(
    namespace: Space,
    overlay: str,
    change: Callable[[Document], object],
    message: str,
) -> None:
    service = deploy(namespace, Setup(f"overlays/{overlay}"), change)
    wait_for(lambda: message in told(service), SECONDS, message, lambda: told(service))
    assert not service.pods
    assert message in PAGE


def told(service: Service) -> str:
    return str(service.object.get("status", {}))


@pytest.mark.usefixtures("store")
def test_a_failed_initializer_has_its_reason_in_status_and_describe(namespace: Space) -> None:
    uri = "s3://warmstart-models/none"
    service = deploy(namespace, Setup("overlays/on-demand"), partial(set_model, storageUri=uri))
    wait_for(lambda: "lastFailureInfo" in told(service), SECONDS, "the status has the failure")
    assert uri in told(service)
    assert uri in namespace.describe(service.pods[0].metadata.name)


def test_a_failed_predictor_has_its_reason_in_describe(
    namespace: Space, store: ModelStore, package: Path
) -> None:
    version = store.publish(package)
    store.run(
        "sh",
        "-c",
        f"cd /mnt/store/models/sentiment/versions/{version} && chmod u+w . * && "
        "printf x >> tokenizer.json",
    )
    service = deploy(namespace, Setup("overlays/pvc"))
    expected = "failed verification"

    def described() -> str:
        return "".join(namespace.describe(pod.metadata.name) for pod in service.pods[:1])

    wait_for(lambda: expected in described(), SECONDS, expected, described)
    assert "does not have minimum availability" in told(service)
    assert "does not have minimum availability" in PAGE

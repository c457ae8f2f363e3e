"""The overlay `production`: the model is in the predictor's image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.service import deploy
from tests.support.manifests.render import Setup

if TYPE_CHECKING:
    from tests.support.cluster.space import Space

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]


def test_a_model_in_the_image_is_served_from_the_image(namespace: Space) -> None:
    if not namespace.cluster.options.baked_image:
        pytest.skip("no baked image: --baked-image names one whose model is called sentiment")
    service = deploy(namespace, Setup("overlays/production"))
    service.wait_until_ready()
    assert service.infer()
    for pod in service.pods:
        assert [container.name for container in pod.spec.containers] == ["kserve-container"]
        mounts = pod.spec.containers[0].volume_mounts
        assert "/mnt/models" not in {mount.mount_path for mount in mounts}

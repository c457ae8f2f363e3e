"""The baselines are fair only if they answer what we answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks import catalogue
from benchmarks.harness.launch import launch
from benchmarks.harness.requests import rest_json
from benchmarks.prepared import Prepared
from storage_init.format.package import read_package

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.harness.launch import Server
    from storage_init.format.package import Variant

pytestmark = pytest.mark.integration

TEXTS = ["good", "the film was not very good", "a bad book and a poor screen"]


@pytest.fixture(scope="module")
def prepared(classifier: Path, prepared_classifier: Path) -> Prepared:
    package, _ = read_package(prepared_classifier)
    return Prepared("classifier", classifier, prepared_classifier, package)


@pytest.fixture(scope="module")
def fp32(prepared: Prepared) -> Variant:
    return next(variant for variant in prepared.package.variants if variant.name == "fp32")


def probabilities(server: Server, logs: Path) -> NDArray[Any]:
    with launch(server, logs) as running:
        outputs = json.loads(running.ask(rest_json(TEXTS)))["outputs"]
        if server.speaks_grpc:
            assert running.load_seconds()["total"] > 0
    # Ours has labels and scores, too; the last output of all is the probabilities.
    rows: NDArray[Any] = np.array(outputs[-1]["data"]).reshape(outputs[-1]["shape"])
    return rows


@pytest.mark.slow
def test_every_server_answers_as_we_do(prepared: Prepared, fp32: Variant, tmp_path: Path) -> None:
    ours = probabilities(catalogue.ours(prepared, "fp32"), tmp_path)
    baselines = catalogue.baselines(prepared, tmp_path)
    assert [server.name for server in baselines] == ["PyTorch", "ONNX", "ONNX fused"]
    for server in [*baselines, *catalogue.peers(prepared, fp32, workers=1)]:
        theirs = probabilities(server, tmp_path)
        np.testing.assert_allclose(theirs, ours, atol=1e-4, err_msg=server.name)


def test_the_empty_server_is_ready_and_has_nothing_to_say(tmp_path: Path) -> None:
    with launch(catalogue.empty(), tmp_path) as running:
        assert running.ready_seconds > 0
        assert running.load_seconds() == {}


def test_variants_are_tried_and_the_automatic_one_is_found(
    prepared: Prepared, tmp_path: Path
) -> None:
    usable = catalogue.usable(prepared, tmp_path)
    names = [variant.name for variant in usable.variants]
    assert usable.automatic.name in names
    assert sorted([*names, *usable.refused]) == sorted(v.name for v in prepared.package.variants)

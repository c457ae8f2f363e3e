"""The baselines answer as we do, and everything is measured, on a real predictor and its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.harness.launch import launch
from benchmarks.harness.requests import PROTOCOLS, rest_json
from benchmarks.models import Prepared
from benchmarks.parts import catalogue
from benchmarks.parts.cells import Load, measure_bare, measure_cell
from storage_init.format.reading import read_package

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.harness.launch import Server
    from storage_init.format.package import Variant

pytestmark = pytest.mark.integration

SECONDS = 0.5
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
        if server.name != catalogue.MOSEC:
            assert running.load_seconds()["total"] > 0
    # Ours has labels and scores, too; the last output of each server is the probabilities.
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


def test_the_empty_server_is_ready_and_loads_nothing(tmp_path: Path) -> None:
    with launch(catalogue.empty(), tmp_path) as running:
        assert running.ready_seconds > 0
        assert running.load_seconds() == {}


def test_variants_are_tried_and_the_automatic_one_is_found(
    prepared: Prepared, tmp_path: Path
) -> None:
    subject = catalogue.find_subject(prepared, tmp_path)
    names = [variant.name for variant in subject.variants]
    assert subject.automatic.name in names
    assert sorted([*names, *subject.refused]) == sorted(v.name for v in prepared.package.variants)


def test_every_protocol_and_the_bare_session_are_measured(
    prepared: Prepared, fp32: Variant, tmp_path: Path
) -> None:
    workload = prepared.texts().mixed()
    with launch(catalogue.ours(prepared, "fp32"), tmp_path) as running:
        assert running.model()["variant"] == "fp32"
        assert running.load_seconds()["total"] > 0
        assert running.memory().rss > running.memory().uss > 0
        for protocol in PROTOCOLS:
            load = Load(prepared, protocol, workload, connections=4)
            cell = measure_cell(running, load, number=0, seconds=SECONDS)
            assert (cell.errors, cell.first_error) == (0, None), protocol
            assert len(cell.latencies) >= 8, protocol
            assert 0 < cell.p50 <= cell.p95 <= cell.p99, protocol
            assert cell.rate > 0, protocol
    load = Load(prepared, "rest-json", workload, connections=2)
    assert measure_bare(load, fp32, batch=4, lanes=2, number=0, seconds=SECONDS).rate > 0

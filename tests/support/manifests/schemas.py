"""Check objects against Kubernetes' schemas, the models of KServe's SDK, and CRDs.

The SDK's models know every field of KServe's kinds, so unknown fields are found; only the CRDs
know which fields are required.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from benchmarks.pods.kserve import Document


# The SDK's names for the plain values of a manifest.
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


def group(document: Document) -> str:
    """Return the API group of an object; empty for the core group."""
    return str(document["apiVersion"]).rpartition("/")[0]


def validate_core(document: Document) -> None:
    """Check an object of Kubernetes' own kinds strictly against its schema."""
    kubernetes_validate = _module("kubernetes_validate")
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def model_of(name: str) -> Any:
    """Return the class of a type from KServe's SDK or the Kubernetes client."""
    short = re.sub(r"^K8sIoApi[A-Z][a-z]+(?=V\d)", "", name)
    for module in ("kserve.models", "kubernetes.client.models"):
        if model := getattr(_module(module), short, None):
            return model
    return None


def mistakes(value: object, kind: str, path: str) -> Iterator[str]:
    """Yield where a value differs from the SDK's type ``kind``: unknown fields, wrong types."""
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
    """Return the mistakes that a strict API server finds in an object of KServe's kinds."""
    version = document["apiVersion"].rpartition("/")[2].capitalize()
    return list(mistakes(document, f"{version}{document['kind']}", document["kind"]))


def load_crds(folder: Path) -> dict[tuple[str, str], Document]:
    """Return strict schemas of all CRDs below a folder, by apiVersion and kind."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    schemas = {}
    for path in sorted(folder.rglob("*.yaml")):
        for document in yaml.load_all(path.read_text(), Loader=loader):
            if not document or document.get("kind") != "CustomResourceDefinition":
                continue
            spec = document["spec"]
            for version in spec["versions"]:
                key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                schemas[key] = _strict(version["schema"]["openAPIV3Schema"])
    return schemas


def _strict(schema: Document) -> Document:
    """Make a structural schema a JSON Schema that refuses unknown fields and allows defaults."""
    strict = dict(schema)
    if strict.pop("x-kubernetes-int-or-string", False):
        strict.pop("type", None)
    if properties := schema.get("properties"):
        strict["properties"] = {name: _strict(each) for name, each in properties.items()}
        defaulted = {name for name, each in properties.items() if "default" in each}
        strict["required"] = [name for name in schema.get("required", []) if name not in defaulted]
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        strict["additionalProperties"] = _strict(schema["additionalProperties"])
    if "items" in schema:
        strict["items"] = _strict(schema["items"])
    return strict


def crd_mistakes(document: Document, schemas: dict[tuple[str, str], Document]) -> list[str]:
    """Return the mistakes that these CRDs' schemas find; CEL rules and webhooks are not run."""
    schema = schemas.get((document["apiVersion"], document["kind"]))
    if schema is None:
        return [f"no CRD for {document['apiVersion']} {document['kind']}"]
    errors = _module("jsonschema").Draft202012Validator(schema).iter_errors(document)
    return [f"{document['kind']}{error.json_path[1:]}: {error.message}" for error in errors]

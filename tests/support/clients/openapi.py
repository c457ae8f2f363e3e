"""Read an OpenAPI document as its users do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterator

    Document = dict[str, Any]

METHODS = ("get", "post", "put", "delete", "patch", "head")


class Example(NamedTuple):
    """An example request of a document; ``body`` is None if the operation takes none."""

    method: str
    path: str
    title: str
    body: Any


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and operation of every operation that can return 200."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS and "200" in operation["responses"]:
                yield method.upper(), path, operation


def examples(document: Document) -> Iterator[Example]:
    """Yield every example request."""
    for method, path, operation in operations(document):
        body = operation.get("requestBody")
        if body is None:
            yield Example(method, path, "", None)
            continue
        for content in body["content"].values():
            for title, example in content.get("examples", {}).items():
                yield Example(method, path, title, example["value"])


def body_validator(document: Document, path: str) -> Draft202012Validator:
    """Return a validator of bodies that are POSTed to a path."""
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return Draft202012Validator({**document, **content["schema"]})


def answer_validator(document: Document, method: str, path: str) -> Draft202012Validator:
    """Return a validator of the 200 responses of a path."""
    operation = document["paths"][path][method.lower()]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return Draft202012Validator({**document, **schema})

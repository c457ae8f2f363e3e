"""What an OpenAPI document is put together from: JSON Schemas, operations, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
COUNT: Schema = {"type": "integer", "minimum": 1}
JSON = "application/json"
# What a request may be told instead of an answer.
REFUSALS = {
    "400": "The request is wrong; the message says where.",
    "404": "There is no such model or version here.",
    "409": "The model was not loaded or unloaded; what was served before still is.",
    "413": "The request has more bytes or texts than one may have.",
    "500": "The server is at fault.",
    "501": "No model here has an explainer.",
    "503": "The model is not ready, the server has too much to do, or the deadline is over; see "
    "Retry-After.",
}
# Of what waits in a queue.
INFERENCE = ("400", "404", "413", "500", "503")


def array(items: Schema, **further: Any) -> Schema:
    """A list of such values."""
    return {"type": "array", "items": items, **further}


def obj(required: list[str] | None = None, **properties: Schema) -> Schema:
    """An object with these properties; others are let through."""
    made: Schema = {"type": "object", "properties": properties}
    return made | {"required": required} if required else made


def one_of_names(names: list[str]) -> Schema:
    """One of these strings."""
    return {"type": "string", "enum": names}


def reference(name: str) -> Schema:
    """A schema of the document's own components."""
    return {"$ref": f"#/components/schemas/{name}"}


def content(
    description: str,
    schema: Schema,
    media_type: str = JSON,
    examples: Mapping[str, Any] | None = None,
) -> Schema:
    """A response, or a request's body."""
    told: Schema = {"schema": schema}
    if examples:
        told["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"description": description, "content": {media_type: told}}


def get(summary: str, schema: Schema, *refusals: str, media_type: str = JSON) -> Schema:
    """A path that is read. What is not ready says so in the form of an answer."""
    responses = {"200": content("Answered", schema, media_type)}
    for status in refusals:
        form = schema if status == "503" else reference("error")
        responses[status] = content(REFUSALS[status], form)
    return {"get": {"summary": summary, "responses": responses}}


def post(
    summary: str,
    body: Schema | None,
    answer: Schema,
    *refusals: str,
    description: str = "",
    error: str = "error",
) -> Schema:
    """An operation that takes a body, ``content`` of it, or none."""
    refused = {status: content(REFUSALS[status], reference(error)) for status in refusals}
    told: Schema = {
        "summary": summary,
        "responses": {"200": content("Answered", answer), **refused},
    }
    if description:
        told["description"] = description
    return told if body is None else told | {"requestBody": body}


def tagged(tag: str, paths: Schema) -> Schema:
    """These paths as a group of their own."""
    return {
        path: {method: told | {"tags": [tag]} for method, told in methods.items()}
        for path, methods in paths.items()
    }

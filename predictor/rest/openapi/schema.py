"""Parts of an OpenAPI document: JSON Schemas and operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Schema = dict[str, Any]
    # A schema, the name of a type, or a list with the form of its items.
    Form = Schema | str | list[Any]

NULL: Schema = {"type": "null"}
COUNT: Schema = {"type": "integer", "minimum": 1}
FLAG: Schema = {"type": "boolean", "default": False}
JSON = "application/json"
BINARY = "application/octet-stream"
# The refusals of a request, by status.
REFUSALS = {
    "400": "The request is wrong; the message says where.",
    "404": "There is no such model or version here.",
    "409": "The model was not loaded or unloaded; what was served before still is.",
    "413": "The request has more bytes or texts than one may have.",
    "415": "The body has a Content-Encoding other than gzip and deflate.",
    "429": "The server has too much to do, or the deadline is over; see Retry-After.",
    "500": "The server is at fault.",
    "501": "No model here has an explainer.",
    "503": "The model is not ready, or the server is stopping or stuck.",
}
# The refusals of a request with a body, and of one that waits in a queue.
BODY = ("400", "413", "415", "429", "500")
INFERENCE = (*BODY, "404", "503")


def schema(form: Form) -> Schema:
    """The JSON Schema of a form."""
    if isinstance(form, str):
        return {"type": form}
    return array(form[0]) if isinstance(form, list) else form


def array(items: Form, **further: Any) -> Schema:
    """A list of such values."""
    return {"type": "array", "items": schema(items), **further}


def obj(*required: str, **properties: Form) -> Schema:
    """An object with these properties; others are allowed."""
    made: Schema = {
        "type": "object",
        "properties": {name: schema(form) for name, form in properties.items()},
    }
    return made | {"required": list(required)} if required else made


def any_of(*forms: Form) -> Schema:
    """A value of one of these forms."""
    return {"anyOf": [schema(form) for form in forms]}


def nullable(form: Form) -> Schema:
    """A value of this form, or null."""
    return any_of(form, NULL)


def enum(names: Sequence[str]) -> Schema:
    """One of these strings."""
    return {"type": "string", "enum": [*names]}


def reference(name: str) -> Schema:
    """A schema of the document's own components."""
    return {"$ref": f"#/components/schemas/{name}"}


def body(
    description: str, form: Schema, examples: Mapping[str, Any], *, required: bool = True
) -> Schema:
    """The JSON body of a request."""
    shown = {name: {"value": value} for name, value in examples.items()}
    made: Schema = {
        "description": description,
        "content": {JSON: {"schema": form, "examples": shown}},
    }
    return made | {"required": True} if required else made


@dataclass(frozen=True)
class Operation:
    """What a route takes and answers; without a ``media_type`` its answer has no body.

    Args:
        answer: None if the route answers nothing but refusals.
        refusals: statuses.
        request: the body, None if there is none.
        binary: whether request and answer may carry binary tensors.
    """

    summary: str
    answer: Form | None
    refusals: Sequence[str] = ()
    request: Schema | None = None
    description: str = ""
    media_type: str = JSON
    binary: bool = False

    def described(self, method: str, error: Schema, tag: str) -> Schema:
        """The operation in the document; ``error`` is the form of a refusal."""
        # A model or a server that is not ready says so in the form of an answer.
        not_ready = error
        if self.answer is not None and self.media_type and method != "POST":
            not_ready = schema(self.answer)
        responses = {
            status: _response(REFUSALS[status], not_ready if status == "503" else error)
            for status in self.refusals
        }
        if self.answer is not None:
            responses["200"] = _response("Answered", schema(self.answer), self.media_type)
        told: Schema = {"summary": self.summary, "tags": [tag], "responses": responses}
        if self.description:
            told["description"] = self.description
        if self.request is not None:
            told["requestBody"] = self.request
        if self.binary:
            for each in (told["requestBody"], responses["200"]):
                # JSON with the tensors' data behind it; a header says how long the JSON is.
                each["content"][BINARY] = {"schema": {"type": "string", "format": "binary"}}
        return told


def _response(description: str, form: Schema, media_type: str = JSON) -> Schema:
    if not media_type:
        return {"description": description}
    return {"description": description, "content": {media_type: {"schema": form}}}

"""The REST interface as an OpenAPI document, with the inputs and outputs of the models that are
served: what Swagger UI shows, and what generators of clients and of tests read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.errors import NotReadyError
from predictor.metadata import server_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.served import ServedModel

    Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
NAMES: Schema = {"type": "array", "items": STRING}
DATA: Schema = {"type": "array", "items": {}}
SHAPE: Schema = {"type": "array", "items": {"type": "integer"}}
EXAMPLE = "I would watch this film again."
# What a request may be told instead of an answer.
REFUSALS = {
    "400": "The request is wrong; the message says where.",
    "404": "There is no such model or version here.",
    "413": "The request has more bytes or texts than one may have.",
    "500": "The server is at fault.",
    "503": "The model is not ready, its queue is full, or the deadline is over; see Retry-After.",
}


def document(models: Mapping[str, ServedModel]) -> Schema:
    """OpenAPI 3.0 for these models; of one that is not ready it tells its readiness alone."""
    paths: Schema = {
        "/v2": _get("Server metadata", _reference("server")),
        "/v2/health/live": _get("Server live", _object(live=BOOLEAN)),
        "/v2/health/ready": _get("Server ready", _object(ready=BOOLEAN), "503"),
        "/v2/models": _get("Names of the models", _object(models=NAMES)),
        "/status": _get("What is served and why", OBJECT),
    }
    for name, model in models.items():
        paths |= _model(name, model)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Warmstart",
            "version": server_metadata()["version"],
            "description": "Prepared models over the Open Inference Protocol V2, and V1.",
        },
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _model(name: str, model: ServedModel) -> Schema:
    root = f"/v2/models/{name}"
    ready = {f"{root}/ready": _get("Model ready", _object(name=STRING, ready=BOOLEAN), "503")}
    try:
        metadata = model.metadata()
    except NotReadyError:
        return ready
    infer = {"post": _infer(name, metadata)}
    return ready | {
        root: _get("Model metadata", _reference("model"), "503"),
        f"{root}/infer": infer,
        f"{root}/versions/{metadata['versions'][0]}/infer": infer,
        f"/v1/models/{name}:predict": {"post": _predict(name, metadata)},
    }


def _infer(name: str, metadata: Mapping[str, Any]) -> Schema:
    inputs = [_input(tensor) for tensor in metadata["inputs"]]
    texts = [tensor["name"] for tensor in metadata["inputs"] if tensor["datatype"] == "BYTES"]
    example = {
        "inputs": [
            {"name": text, "datatype": "BYTES", "shape": [1], "data": [EXAMPLE]}
            for text in texts[:1]
        ]
    }
    outputs = ", ".join(f"`{o['name']}` {o['datatype']} {o['shape']}" for o in metadata["outputs"])
    body = _object(
        inputs={"type": "array", "minItems": 1, "items": {"oneOf": inputs}},
        required=["inputs"],
        id=STRING,
        parameters=OBJECT,
        outputs={
            "type": "array",
            "items": _object(name=STRING, parameters=OBJECT, required=["name"]),
        },
    )
    return _post(
        f"Ask {name} (V2)",
        f"Texts, or the graph's own tensors. Outputs: {outputs}.",
        body | {"example": example},
        _reference("answer"),
    )


def _input(tensor: Mapping[str, Any]) -> Schema:
    texts = tensor["datatype"] == "BYTES"
    value: Schema = STRING if texts else {"type": "integer"}
    return _object(
        name={"type": "string", "enum": [tensor["name"]]},
        datatype={"type": "string", "enum": [tensor["datatype"]]},
        shape=SHAPE | {"minItems": 1, "maxItems": 2},
        data={"type": "array", "items": value},
        parameters=OBJECT,
        required=["name", "datatype", "shape", "data"],
    )


def _predict(name: str, metadata: Mapping[str, Any]) -> Schema:
    texts = [tensor["name"] for tensor in metadata["inputs"] if tensor["datatype"] == "BYTES"]
    pair = _object(**dict.fromkeys(texts, STRING), required=texts[:1])
    body = _object(
        instances={"type": "array", "minItems": 1, "items": {"oneOf": [STRING, pair]}},
        parameters=OBJECT,
        required=["instances"],
    )
    example = {"instances": [{texts[0]: EXAMPLE}]}
    answer = _object(predictions=DATA, required=["predictions"])
    return _post(f"Ask {name} (V1)", "Texts.", body | {"example": example}, answer)


def _schemas() -> Schema:
    tensor = _object(
        name=STRING, datatype=STRING, shape=SHAPE, required=["name", "datatype", "shape"]
    )
    tensors = {"type": "array", "items": tensor}
    output = _object(
        name=STRING, datatype=STRING, shape=SHAPE, data=DATA, parameters=OBJECT, required=["name"]
    )
    return {
        "error": _object(error=STRING, required=["error"]),
        "server": _object(
            name=STRING, version=STRING, extensions=NAMES, required=["name", "version"]
        ),
        "model": _object(
            name=STRING,
            versions=NAMES,
            platform=STRING,
            inputs=tensors,
            outputs=tensors,
            required=["name", "platform"],
        ),
        "answer": _object(
            model_name=STRING,
            model_version=STRING,
            id=STRING,
            outputs={"type": "array", "items": output},
            required=["model_name", "outputs"],
        ),
    }


def _get(summary: str, schema: Schema, *refusals: str) -> Schema:
    responses = {"200": _content("Answered", schema)}
    # Those that are not ready say so in the same form.
    responses |= {status: _content(REFUSALS[status], OBJECT) for status in refusals}
    return {"get": {"summary": summary, "responses": responses}}


def _post(summary: str, description: str, body: Schema, answer: Schema) -> Schema:
    refused = {status: _content(why, _reference("error")) for status, why in REFUSALS.items()}
    return {
        "summary": summary,
        "description": description,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _content("Answered", answer), **refused},
    }


def _content(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(required: list[str] | None = None, **properties: Schema) -> Schema:
    made: Schema = {"type": "object", "properties": properties}
    return made | {"required": required} if required else made


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}

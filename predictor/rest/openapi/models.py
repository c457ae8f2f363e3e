"""What one model answers over V2 and V1, as OpenAPI paths, with its own inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.errors import NotReadyError
from predictor.rest.openapi.schema import (
    BOOLEAN,
    INFERENCE,
    INTEGER,
    OBJECT,
    STRING,
    array,
    content,
    get,
    obj,
    one_of_names,
    post,
    reference,
)
from predictor.rest.openapi.tasks import Asking, asking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.engine.engine import Engine
    from predictor.loading.load import LoadedModel
    from predictor.protocol.messages import TextInputs
    from predictor.rest.openapi.schema import Schema
    from predictor.rest.openapi.tasks import Example
    from predictor.serving.model import Model

READY = obj(name=STRING, ready=BOOLEAN)
SHAPE = array(INTEGER, minItems=1, maxItems=2)
BINARY = "application/octet-stream"


def model_paths(model: Model) -> Schema:
    """All paths of a model; of one that is not ready, those that say so."""
    name = model.name
    paths = {
        f"/v2/models/{name}/ready": get(f"{name} ready", READY, "503"),
        f"/v1/models/{name}": get(f"{name} ready (V1)", READY, "503"),
    }
    try:
        loaded, metadata = model.loaded, model.current.metadata()
    except NotReadyError:
        return paths
    how = asking(loaded.engine.task)
    for root in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{loaded.version}"):
        paths |= {
            root: get(f"{name} metadata", reference("model"), "404", "503"),
            f"{root}/ready": get(f"{name} ready", READY, "404", "503"),
            f"{root}/infer": _infer(name, metadata, loaded, how),
        }
    explain = f"{name} has no explainer"
    return paths | {
        f"/v1/models/{name}:predict": _predict(name, loaded.engine.task.inputs, how),
        f"/v1/models/{name}:explain": {"post": _never(explain)},
    }


def _infer(name: str, metadata: Mapping[str, Any], loaded: LoadedModel, how: Asking) -> Schema:
    outputs = ", ".join(f"`{o['name']}` {o['datatype']} {o['shape']}" for o in metadata["outputs"])
    engine = loaded.engine
    texts = engine.task.inputs
    plain = next(iter(how.examples.values()))
    examples = {title: _body(example) for title, example in how.examples.items()}
    body = content(
        "Texts, or the graph's own tensors.",
        _infer_schema(texts, engine.inputs, how.parameters),
        examples={**examples, "tensors": {"inputs": _tensors(engine, plain)}},
    )
    # JSON with the tensors' data behind it; the header says how long the JSON is.
    body["content"][BINARY] = {"schema": {"type": "string", "format": "binary"}}
    told = post(
        f"Ask {name} (V2)",
        body | {"required": True},
        reference("answer"),
        *INFERENCE,
        description=f"Texts, or the graph's own tensors. Outputs: {outputs}.",
    )
    told["responses"]["200"]["content"][BINARY] = {"schema": {"type": "string", "format": "binary"}}
    return {"post": told}


def _body(example: Example) -> dict[str, Any]:
    body: dict[str, Any] = {"inputs": example.inputs}
    return body | {"parameters": dict(example.parameters)} if example.parameters else body


def _infer_schema(
    texts: TextInputs, tensors: list[str], parameters: Mapping[str, Schema]
) -> Schema:
    names = [name for name in (texts.first, texts.second) if name]
    least = 2 if texts.both else 1
    return obj(
        required=["inputs"],
        id=STRING,
        inputs={
            "oneOf": [
                array(_input(names, "BYTES", STRING), minItems=least, maxItems=len(names)),
                array(_input(tensors, "INT64", INTEGER), minItems=2, maxItems=len(tensors)),
            ]
        },
        parameters=_named({**parameters, "binary_data_output": BOOLEAN}),
        outputs=array(obj(name=STRING, parameters=OBJECT, required=["name"])),
    )


def _input(names: list[str], datatype: str, value: Schema) -> Schema:
    return obj(
        name=one_of_names(names),
        datatype=one_of_names([datatype]),
        shape=SHAPE,
        data=array(value, minItems=1),
        parameters=OBJECT,
        required=["name", "datatype", "shape", "data"],
    )


def _tensors(engine: Engine, example: Example) -> list[dict[str, Any]]:
    """The first text of an example as the graph takes it."""
    ids = list(engine.tokenizer.encode([next(iter(example.texts.values()))[0]])[0].ids)
    values = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}
    return [
        {"name": name, "datatype": "INT64", "shape": [1, len(ids)], "data": values[name]}
        for name in engine.inputs
    ]


def _predict(name: str, texts: TextInputs, how: Asking) -> Schema:
    names = [each for each in (texts.first, texts.second) if each]
    instance = obj(required=names if texts.both else names[:1], **dict.fromkeys(names, STRING))
    body = obj(
        required=["instances"],
        instances=array(instance if texts.both else {"oneOf": [STRING, instance]}, minItems=1),
        parameters=_named(how.parameters),
    )
    examples: dict[str, Any] = {}
    for title, example in how.examples.items():
        examples[title] = {"instances": example.instances}
        if example.parameters:
            examples[title]["parameters"] = dict(example.parameters)
    return {
        "post": post(
            f"Ask {name} (V1)",
            content("Texts.", body, examples=examples) | {"required": True},
            obj(required=["predictions"], predictions=array({})),
            *INFERENCE,
        )
    }


def _named(properties: Mapping[str, Schema]) -> Schema:
    return OBJECT | {"properties": dict(properties)}


def _never(why: str) -> Schema:
    told = post(why, None, OBJECT, "404", "501", "503")
    del told["responses"]["200"]
    return told

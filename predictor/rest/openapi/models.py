"""Inference with one model over V2, V1 and ``POST /``, with the model's own inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.rest.inference.hugging_face import KINDS
from predictor.rest.openapi.clients import client_operation
from predictor.rest.openapi.schema import (
    INFERENCE,
    NULL,
    Operation,
    any_of,
    array,
    body,
    enum,
    nullable,
    obj,
    reference,
)
from predictor.rest.openapi.tasks import requests_of

if TYPE_CHECKING:
    from predictor.engine.engine import Engine
    from predictor.protocol.messages import TextInputs
    from predictor.rest.openapi.schema import Form, Schema
    from predictor.rest.openapi.tasks import Example, TaskRequests


def inference(name: str, engine: Engine) -> dict[str, Operation]:
    """The operations of a model's inference, by handler."""
    requests = requests_of(engine.task)
    return {
        "infer": _infer(name, engine, requests),
        "predict": _predict(name, engine.task.inputs, requests),
        "by_task": _by_task(name, engine, requests),
    }


def _infer(name: str, engine: Engine, requests: TaskRequests) -> Operation:
    outputs = engine.task.output_types
    first = next(iter(requests.examples.values()))
    examples = {title: example.v2 for title, example in requests.examples.items()}
    examples["tensors"] = {"inputs": _tensors(engine, first)}
    texts = "Texts, or the graph's own tensors."
    shown = ", ".join(f"`{each['name']}` {each['datatype']} {each['shape']}" for each in outputs)
    return Operation(
        f"Ask {name} (V2)",
        reference("answer"),
        INFERENCE,
        body(texts, _infer_schema(engine, requests), examples),
        description=f"{texts} Outputs: {shown}.",
        binary=True,
    )


def _infer_schema(engine: Engine, requests: TaskRequests) -> Schema:
    texts = engine.task.inputs
    # A single text may have any name.
    one = {"type": "string"}
    least, most = 2 if texts.both else 1, len(texts.names)
    text_tensor = _tensor(one, "BYTES", "string")
    ids_tensor = _tensor(enum(engine.inputs), "INT64", "integer")
    output = obj("name", name="string", parameters=nullable(obj(binary_data=nullable("boolean"))))
    parameters = requests.parameters
    parameters["properties"]["binary_data_output"] = nullable("boolean")
    return obj(
        "inputs",
        id=nullable("string"),
        inputs=any_of(
            array(text_tensor, minItems=least, maxItems=most),
            array(ids_tensor, minItems=2, maxItems=len(engine.inputs)),
        ),
        parameters=nullable(parameters),
        outputs=nullable([output]),
    )


def _tensor(name: Form, datatype: str, value: str) -> Schema:
    return obj(
        *("name", "datatype", "shape", "data"),
        name=name,
        datatype=enum([datatype]),
        shape=array({"type": "integer", "minimum": 1}, minItems=1, maxItems=2),
        data=any_of(array(value, minItems=1), array(array(value), minItems=1)),
        parameters=nullable("object"),
    )


def _tensors(engine: Engine, example: Example) -> list[dict[str, Any]]:
    """The first text of an example as the graph takes it."""
    ids = list(engine.tokenizer.encode([next(iter(example.texts.values()))[0]])[0].ids)
    values = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}
    return [
        {"name": name, "datatype": "INT64", "shape": [1, len(ids)], "data": values[name]}
        for name in engine.inputs
    ]


def _instance(texts: TextInputs) -> Schema:
    """A text, or an object with the texts by name."""
    names = texts.names
    if texts.both:
        return obj(*names, **dict.fromkeys(names, "string"))
    pair: dict[str, Form] = {texts.second or "text_pair": NULL}
    if texts.second:
        pair = {texts.second: nullable("string")}
    return any_of("string", obj(names[0], **{names[0]: "string"}, **pair))


def _predict(name: str, texts: TextInputs, requests: TaskRequests) -> Operation:
    form = obj(
        "instances",
        instances=array(_instance(texts), minItems=1),
        parameters=requests.parameters,
    )
    examples = {title: example.v1 for title, example in requests.examples.items()}
    answer = obj("predictions", predictions=[{}])
    return Operation(f"Ask {name} (V1)", answer, INFERENCE, body("Texts.", form, examples))


def _by_task(name: str, engine: Engine, requests: TaskRequests) -> Operation:
    kind = KINDS.get(type(engine.task))
    if kind is not None:
        return client_operation(kind, {name: engine}, parameters=requests.parameters, named=True)
    instance = _instance(engine.task.inputs)
    form = obj(
        "inputs",
        inputs=any_of(instance, array(instance, minItems=1)),
        parameters=nullable(requests.parameters),
    )
    examples = {
        title: {"inputs": example.v1["instances"], "parameters": dict(example.parameters)}
        for title, example in requests.examples.items()
    }
    title = f"Ask {name} (huggingface_hub's InferenceClient)"
    return Operation(title, {}, INFERENCE, body("Texts.", form, examples))

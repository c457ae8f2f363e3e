"""Inference with one model, as V2 and V1 operations with the model's own inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.rest.openapi.schema import (
    INFERENCE,
    Operation,
    array,
    body,
    enum,
    obj,
    one_of,
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
    least = 2 if texts.both else 1
    names = texts.names
    return obj(
        "inputs",
        id="string",
        inputs=one_of(
            array(_tensor(names, "BYTES", "string"), minItems=least, maxItems=len(names)),
            array(
                _tensor(engine.inputs, "INT64", "integer"),
                minItems=2,
                maxItems=len(engine.inputs),
            ),
        ),
        parameters=obj(**requests.parameters, binary_data_output="boolean"),
        outputs=[obj("name", name="string", parameters="object")],
    )


def _tensor(names: list[str], datatype: str, value: Form) -> Schema:
    return obj(
        *("name", "datatype", "shape", "data"),
        name=enum(names),
        datatype=enum([datatype]),
        shape=array("integer", minItems=1, maxItems=2),
        data=array(value, minItems=1),
        parameters="object",
    )


def _tensors(engine: Engine, example: Example) -> list[dict[str, Any]]:
    """The first text of an example as the graph takes it."""
    ids = list(engine.tokenizer.encode([next(iter(example.texts.values()))[0]])[0].ids)
    values = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}
    return [
        {"name": name, "datatype": "INT64", "shape": [1, len(ids)], "data": values[name]}
        for name in engine.inputs
    ]


def _predict(name: str, texts: TextInputs, requests: TaskRequests) -> Operation:
    names = texts.names
    instance = obj(*(names if texts.both else names[:1]), **dict.fromkeys(names, "string"))
    form = obj(
        "instances",
        instances=array(instance if texts.both else one_of("string", instance), minItems=1),
        parameters=obj(**requests.parameters),
    )
    examples = {title: example.v1 for title, example in requests.examples.items()}
    answer = obj("predictions", predictions=[{}])
    return Operation(f"Ask {name} (V1)", answer, INFERENCE, body("Texts.", form, examples))

"""V2 requests as the predictor decodes them from any transport."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.protocol.messages import Answer, InputTensor, Request
from predictor.protocol.parameters import Parameters

if TYPE_CHECKING:
    from predictor.serving.model import Model


def texts(*values: str, outputs: tuple[str, ...] = (), **parameters: Any) -> Request:
    tensor = InputTensor("text", "BYTES", [len(values)], values)
    return Request([tensor], Parameters(**parameters), outputs, "7")


def tensors(ids: list[int], **others: list[int]) -> Request:
    named = {"input_ids": ids, "attention_mask": [1] * len(ids), **others}
    inputs = [
        InputTensor(name, "INT64", [1, len(row)], np.array(row, dtype=np.int64))
        for name, row in named.items()
    ]
    return Request(inputs, Parameters())


async def infer(model: Model, request: Request) -> Answer:
    return await model.current.infer(request)


def ask(model: Model, request: Request) -> Answer:
    return asyncio.run(infer(model, request))

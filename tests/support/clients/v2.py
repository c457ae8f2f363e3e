"""V2 requests over REST and gRPC as clients write them, and answers as they read them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.grpc.protobuf import pb2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx

    from benchmarks.harness.process import Predictor


def request(inputs: Mapping[str, Sequence[str]], **parameters: Any) -> dict[str, Any]:
    """A body that asks for texts, by the names of its tensors."""
    tensors = [
        {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
        for name, texts in inputs.items()
    ]
    return {"inputs": tensors, "parameters": parameters}


def text_request(texts: Sequence[str], **parameters: Any) -> dict[str, Any]:
    """A body that asks for texts; its id is "7"."""
    return {"id": "7", **request({"text": texts}, **parameters)}


def tensor_request(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """A body of INT64 tensors, given as NumPy's or PyTorch's."""
    made = [
        {"name": name, "datatype": "INT64", "shape": list(t.shape), "data": t.flatten().tolist()}
        for name, t in tensors.items()
    ]
    return {"inputs": made}


def outputs_of(body: dict[str, Any]) -> dict[str, Any]:
    """An answer's outputs by name, in their shapes."""
    return {
        output["name"]: np.array(output["data"]).reshape(output["shape"])
        for output in body["outputs"]
    }


def answered(response: httpx.Response) -> dict[str, Any]:
    """The outputs of an answer, which must not be an error."""
    assert response.status_code == 200, response.text
    return outputs_of(response.json())


def grpc_request(model: str, texts: Sequence[str]) -> Any:
    """A ``ModelInferRequest`` with typed contents."""
    message = pb2.ModelInferRequest(model_name=model)
    tensor = message.inputs.add(name="text", datatype="BYTES", shape=[len(texts)])
    tensor.contents.bytes_contents.extend(text.encode() for text in texts)
    return message


def infer_inputs(inputs: Mapping[str, Sequence[str]], *, binary: bool = True) -> list[Any]:
    """KServe's own tensors of texts."""
    from kserve import InferInput

    made = [InferInput(name, [len(texts)], "BYTES") for name, texts in inputs.items()]
    for tensor, texts in zip(made, inputs.values(), strict=True):
        tensor.set_data_from_numpy(np.array(list(texts), dtype=np.object_), binary_data=binary)
    return made


def infer_over_grpc(
    server: Predictor,
    inputs: Mapping[str, Sequence[str]],
    *,
    binary: bool = True,
    **parameters: Any,
) -> dict[str, Any]:
    """Outputs by name, asked for with KServe's gRPC client.

    Args:
        server: the server; its ``name`` is the model.
        inputs: texts by the names of their tensors.
        binary: whether texts are sent as raw contents.
        parameters: lists as JSON.
    """
    from kserve import InferenceGRPCClient, InferRequest

    async def ask() -> Any:
        client = InferenceGRPCClient(server.grpc_target)
        try:
            assert await client.is_server_ready()
            assert await client.is_model_ready(server.name)
            tensors = infer_inputs(inputs, binary=binary)
            return await client.infer(
                InferRequest(server.name, tensors, "8", parameters=parameters)
            )
        finally:
            await client.close()

    answer = asyncio.run(ask())
    assert answer.id == "8"
    return {output.name: output.as_numpy() for output in answer.outputs}

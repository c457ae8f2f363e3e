"""Triton's gRPC client at a predictor: ``triton_grpc TARGET MODEL OUTPUT…``.

Each input's texts come as a JSON object on the standard input, the answer's outputs leave as one.

A process of its own: its protobuf messages have the names that KServe's have, and a process can
hold one of the two.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput


def main(target: str, model: str, *outputs: str) -> None:
    asked = json.load(sys.stdin)
    with InferenceServerClient(target) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(model)
        assert "binary_tensor_data" in client.get_server_metadata().extensions
        assert client.get_model_metadata(model).name == model
        tensors = []
        for name, texts in asked.items():
            tensors.append(InferInput(name, [len(texts)], "BYTES"))
            tensors[-1].set_data_from_numpy(np.array(texts, dtype=np.object_))
        wanted = [InferRequestedOutput(name) for name in outputs]
        answer = client.infer(model, tensors, outputs=wanted, request_id="8")
        assert answer.get_response().id == "8"
        arrays = {name: answer.as_numpy(name) for name in outputs}
    json.dump({name: array.tolist() for name, array in arrays.items()}, sys.stdout, default=_text)


def _text(value: bytes) -> str:
    return value.decode()


if __name__ == "__main__":
    main(*sys.argv[1:])

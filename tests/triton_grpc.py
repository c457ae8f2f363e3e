"""Triton's gRPC client at a predictor: ``python -m tests.triton_grpc TARGET MODEL OUTPUT…``.

Texts come as a JSON list on the standard input, the answer's outputs leave as JSON on its output.

A process of its own: its protobuf messages have the names that KServe's have, and a process can
hold one of the two.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput


def main(target: str, model: str, *outputs: str) -> None:
    texts = np.array(json.load(sys.stdin), dtype=np.object_)
    with InferenceServerClient(target) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(model)
        assert "binary_tensor_data" in client.get_server_metadata().extensions
        assert client.get_model_metadata(model).name == model
        tensor = InferInput("text", [len(texts)], "BYTES")
        tensor.set_data_from_numpy(texts)
        asked = [InferRequestedOutput(name) for name in outputs]
        answer = client.infer(model, [tensor], outputs=asked, request_id="8")
        assert answer.get_response().id == "8"
        arrays = {name: answer.as_numpy(name) for name in outputs}
    json.dump({name: array.tolist() for name, array in arrays.items()}, sys.stdout, default=_text)


def _text(value: bytes) -> str:
    return value.decode()


if __name__ == "__main__":
    main(*sys.argv[1:])

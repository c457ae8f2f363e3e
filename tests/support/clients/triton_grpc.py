"""Triton's gRPC client at a predictor: ``triton_grpc TARGET MODEL OUTPUT…``.

It reads the texts of each input and the parameters as JSON from stdin, and writes the outputs as
JSON to stdout. It needs a process of its own: its protobuf messages have the same names as
KServe's, and a process can hold only one of the two.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput


def main(target: str, model: str, *outputs: str) -> None:
    asked, parameters = json.load(sys.stdin)
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
        answer = client.infer(model, tensors, "", wanted, "8", parameters=parameters)
        assert answer.get_response().id == "8"
        config = client.get_model_config(model).config
        assert [each.name for each in config.output] == [*names(client, model)]
        (stats,) = client.get_inference_statistics(model).model_stats
        assert stats.inference_stats.success.count > 0
        assert model in {each.name for each in client.get_model_repository_index().models}
        # Triton's clients send the model's name in another field than KServe's.
        client.load_model(model)
        arrays = {name: answer.as_numpy(name) for name in outputs}
    json.dump({name: array.tolist() for name, array in arrays.items()}, sys.stdout, default=_text)


def names(client: InferenceServerClient, model: str) -> list[str]:
    return [each.name for each in client.get_model_metadata(model).outputs]


def _text(value: bytes) -> str:
    return value.decode()


if __name__ == "__main__":
    main(*sys.argv[1:])

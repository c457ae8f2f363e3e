"""Requests as they go over the wire, and texts of an exact number of tokens to put into them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

import numpy as np
from kserve import InferInput, InferRequest

from storage_init.running.tokenizer import Feeds, Tokenizer

MODEL = "m"
INFER_PATH = f"/v2/models/{MODEL}/infer"
GRPC_METHOD = "/inference.GRPCInferenceService/ModelInfer"
JSON_LENGTH = "Inference-Header-Content-Length"

# rest-json, rest-binary and grpc (in its raw contents) carry texts, rest-tensors carries token ids.
Protocol = Literal["rest-json", "rest-binary", "rest-tensors", "grpc"]
PROTOCOLS: tuple[Protocol, ...] = ("rest-json", "rest-binary", "rest-tensors", "grpc")

WORDS = (
    "the film was not very good and i would never watch it again but the book that came with it "
    "made the long night in the small town by the sea a little better for all of us"
)
SHORT_TOKENS = 19
MIXED_TOKENS = (8, 256)
MIXED_COUNT = 512


@dataclass(frozen=True)
class HttpRequest:
    """A POST to the model; ``headers`` without those that the connection itself decides."""

    headers: dict[str, str]
    body: bytes

    def wire(self) -> bytes:
        """The whole HTTP/1.1 request, for a connection that stays open."""
        head = [f"POST {INFER_PATH} HTTP/1.1", "Host: 127.0.0.1"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        head += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(head).encode() + self.body


def rest_json(texts: Sequence[str]) -> HttpRequest:
    """Put texts into the V2 protocol's JSON."""
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
    body = json.dumps({"inputs": [tensor]}).encode()
    return HttpRequest({"Content-Type": "application/json"}, body)


def rest_binary(texts: Sequence[str]) -> HttpRequest:
    """Put texts into the binary tensor extension, and ask for the answer in it, too."""
    return _binary([_text_tensor(texts)])


def rest_tensors(feeds: Feeds) -> HttpRequest:
    """Put token ids into the binary tensor extension: INT64 [N, L] for each input of the graph."""
    tensors = []
    for name, array in feeds.items():
        tensor = InferInput(name, list(array.shape), "INT64")
        tensor.set_data_from_numpy(array, binary_data=True)
        tensors.append(tensor)
    return _binary(tensors)


def grpc(texts: Sequence[str]) -> bytes:
    """Serialise a ModelInferRequest with the texts in ``raw_input_contents``."""
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


@dataclass(frozen=True)
class Workload:
    """The text of each request; requests are sent in this order, over and over."""

    name: str
    texts: tuple[str, ...]


class TextMaker:
    """Makes texts for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._special = self._count("the the") - 2
        self._words = [word for word in WORDS.split() if self._count(word) == self._special + 1]
        if not self._words:
            raise ValueError("the tokenizer has none of our words as a single token")

    def text(self, tokens: int, first_word: int = 0) -> str:
        """A text of ``tokens`` tokens, special ones included, starting with word ``first_word``."""
        count = tokens - self._special
        words: Iterator[str] = cycle(self._words[first_word:] + self._words[:first_word])
        text = " ".join(next(words) for _ in range(count))
        if self._count(text) != tokens:
            raise ValueError(f"no text of {tokens} tokens: the tokenizer joins words")
        return text

    def drawn(self, tokens: int, chance: random.Random) -> str:
        """A text of ``tokens`` tokens, special ones included, of words drawn at random."""
        return " ".join(chance.choices(self._words, k=tokens - self._special))

    def fixed(self) -> Workload:
        """One text of ``SHORT_TOKENS``."""
        return Workload(f"{SHORT_TOKENS} tokens", (self.text(SHORT_TOKENS),))

    def mixed(self) -> Workload:
        """Single texts of lengths drawn evenly from ``MIXED_TOKENS``, with a fixed seed."""
        draw = random.Random(0)  # noqa: S311 - the same every time
        shortest, longest = MIXED_TOKENS
        longest = min(longest, self._tokenizer.max_length)
        lengths = [draw.randint(shortest, longest) for _ in range(MIXED_COUNT)]
        texts = (self.text(n, i % len(self._words)) for i, n in enumerate(lengths))
        return Workload(f"{shortest}-{longest} tokens", tuple(texts))

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode([text])[0])

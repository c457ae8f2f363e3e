"""The baselines: a KServe model as people write it: an empty one, one in PyTorch, one in ONNX."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from kserve import Model, ModelServer, model_server
from kserve.utils.utils import get_predict_response

from benchmarks.servers.tasks import answer, feeds, report_load, texts_of

if TYPE_CHECKING:
    from kserve import InferRequest, InferResponse


class Empty(Model):
    """A model that is ready at once: the least that any of KServe's servers costs."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments.model_name)
        self.arguments = arguments
        self.load()

    def load(self) -> bool:
        self.ready = True
        return True


class PyTorch(Empty):
    """A model that tokenises, runs and takes a softmax on the event loop's thread."""

    def load(self) -> bool:
        start = time.perf_counter()
        import torch
        from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

        imported = time.perf_counter()
        embeds = self.arguments.task == "text-embedding"
        kind = AutoModel if embeds else AutoModelForSequenceClassification
        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(self.arguments.model_dir)
        self.model = kind.from_pretrained(self.arguments.model_dir).eval()
        report_load(start, imported)
        return super().load()

    def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None
    ) -> InferResponse:
        texts = texts_of(payload)
        inputs = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        with self.torch.inference_mode():
            output = self.model(**inputs)[0].numpy()
        rows = answer(output, inputs["attention_mask"].numpy(), self.arguments.task)
        return get_predict_response(payload, rows, self.name)


class Onnx(Empty):
    """An exported graph with the session's default options, on the event loop's thread."""

    def load(self) -> bool:
        start = time.perf_counter()
        import onnxruntime as ort
        from tokenizers import Tokenizer

        imported = time.perf_counter()
        self.tokenizer = Tokenizer.from_file(self.arguments.tokenizer)
        self.tokenizer.enable_padding()
        self.tokenizer.enable_truncation(512)
        self.session = ort.InferenceSession(self.arguments.graph)
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        report_load(start, imported)
        return super().load()

    def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None
    ) -> InferResponse:
        inputs = feeds(self.tokenizer.encode_batch(texts_of(payload)), self.inputs)
        output = self.session.run(None, inputs)[0]
        rows = answer(output, inputs["attention_mask"], self.arguments.task)
        return get_predict_response(payload, rows, self.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    for flag in ("--model_dir", "--graph", "--tokenizer", "--task"):
        parser.add_argument(flag)
    given, _ = parser.parse_known_args()
    ModelServer().start([(Onnx if given.graph else PyTorch if given.model_dir else Empty)(given)])

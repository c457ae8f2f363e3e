"""The ONNX baselines: an exported graph in a KServe model, with the session's default options."""

from __future__ import annotations

import argparse
import time

start = time.perf_counter()
import onnxruntime as ort
from tokenizers import Tokenizer

imported = time.perf_counter() - start

from typing import TYPE_CHECKING

from kserve import Model, ModelServer, model_server
from kserve.utils.utils import get_predict_response

from benchmarks.servers.tasks import answer, feeds, report_load, texts_of

if TYPE_CHECKING:
    from kserve import InferRequest, InferResponse


class OnnxModel(Model):
    """A model that tokenises and runs its graph on the event loop's thread."""

    def __init__(self, name: str, graph: str, tokenizer: str, task: str) -> None:
        super().__init__(name)
        self.graph = graph
        self.tokenizer_file = tokenizer
        self.task = task
        self.load()

    def load(self) -> bool:
        self.tokenizer = Tokenizer.from_file(self.tokenizer_file)
        self.tokenizer.enable_padding()
        self.tokenizer.enable_truncation(512)
        self.session = ort.InferenceSession(self.graph)
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        self.ready = True
        return True

    def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None
    ) -> InferResponse:
        encodings = self.tokenizer.encode_batch(texts_of(payload))
        inputs = feeds(encodings, self.inputs)
        output = self.session.run(None, inputs)[0]
        return get_predict_response(
            payload, answer(output, inputs["attention_mask"], self.task), self.name
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--graph", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--task", required=True)
    arguments, _ = parser.parse_known_args()
    start = time.perf_counter()
    model = OnnxModel(arguments.model_name, arguments.graph, arguments.tokenizer, arguments.task)
    loaded = time.perf_counter() - start
    report_load(total=imported + loaded, imports=imported, load=loaded)
    ModelServer().start([model])

"""The PyTorch baseline: transformers in a KServe model, as KServe's documentation shows it."""

from __future__ import annotations

import argparse
import time

start = time.perf_counter()
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

imported = time.perf_counter() - start

from typing import TYPE_CHECKING

from kserve import Model, ModelServer, model_server
from kserve.utils.utils import get_predict_response

from benchmarks.servers.tasks import answer, report_load, texts_of

if TYPE_CHECKING:
    from kserve import InferRequest, InferResponse


class PyTorchModel(Model):
    """A model that tokenises, runs and takes a softmax on the event loop's thread."""

    def __init__(self, name: str, folder: str, task: str) -> None:
        super().__init__(name)
        self.folder = folder
        self.task = task
        self.load()

    def load(self) -> bool:
        kind = AutoModel if self.task == "text-embedding" else AutoModelForSequenceClassification
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self.model = kind.from_pretrained(self.folder).eval()
        self.ready = True
        return True

    def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None
    ) -> InferResponse:
        inputs = self.tokenizer(
            texts_of(payload), padding=True, truncation=True, return_tensors="pt"
        )
        with torch.inference_mode():
            output = self.model(**inputs)[0].numpy()
        rows = answer(output, inputs["attention_mask"].numpy(), self.task)
        return get_predict_response(payload, rows, self.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--task", required=True)
    arguments, _ = parser.parse_known_args()
    start = time.perf_counter()
    model = PyTorchModel(arguments.model_name, arguments.model_dir, arguments.task)
    loaded = time.perf_counter() - start
    report_load(total=imported + loaded, imports=imported, load=loaded)
    ModelServer().start([model])

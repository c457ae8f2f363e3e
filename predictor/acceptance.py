"""``python -m predictor.acceptance``: checks that an image serves its models.

It starts the predictor with the flags and variables of a container, waits until it is ready, sends
each model a request over REST and gRPC, and stops it. It needs no network but the loopback.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from predictor.settings import parse_settings
from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from collections.abc import Sequence

READY_SECONDS = 300
STOP_SECONDS = 60
POLL_SECONDS = 0.01
DATA = [1] * 8


class AcceptanceError(WarmstartError):
    """The server failed a check; the message says which."""


def main(argv: Sequence[str] | None = None) -> int:
    """Start, check and stop a predictor; returns 0 if it passed."""
    flags = sys.argv[1:] if argv is None else list(argv)
    settings = parse_settings(flags)
    start = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-m", "predictor", *flags])
    try:
        base = f"http://127.0.0.1:{settings.http_port}"
        _wait_until_ready(server, base)
        print(f"ready after {time.perf_counter() - start:.3f} s")
        for name in _get(f"{base}/v1/models")["models"]:
            tensors = _tensors(base, name)
            _ask(base, name, tensors)
            if settings.enable_grpc:
                _ask_grpc(f"127.0.0.1:{settings.grpc_port}", name, tensors)
            print(f"{name} answers")
        _stop(server)
    except AcceptanceError as error:
        print(f"not accepted: {error}", file=sys.stderr)
        return 1
    finally:
        server.kill()
    return 0


def _wait_until_ready(server: subprocess.Popen[bytes], base: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise AcceptanceError(f"the server exited with {server.returncode}")
        try:
            if _get(f"{base}/v2/health/ready")["ready"]:
                return
        except (OSError, AcceptanceError):  # not listening yet, or not ready
            time.sleep(POLL_SECONDS)
    raise AcceptanceError(f"the server was not ready after {READY_SECONDS} s")


def _tensors(base: str, name: str) -> list[dict[str, Any]]:
    """The tensors of a model's graph, which every task accepts instead of texts."""
    inputs = _get(f"{base}/v2/models/{name}")["inputs"]
    return [t | {"shape": [1, len(DATA)]} for t in inputs if t["datatype"] == "INT64"]


def _ask(base: str, name: str, tensors: list[dict[str, Any]]) -> None:
    body = json.dumps({"inputs": [tensor | {"data": DATA} for tensor in tensors]}).encode()
    answer = _get(f"{base}/v2/models/{name}/infer", body)
    if not answer["outputs"][0]["data"]:
        raise AcceptanceError(f"{name} returns empty outputs")


def _ask_grpc(target: str, name: str, tensors: list[dict[str, Any]]) -> None:
    import grpc

    from predictor.grpc.protobuf import pb2, pb2_grpc

    contents = {"contents": {"int64_contents": DATA}}
    inputs = [tensor | contents for tensor in tensors]
    with grpc.insecure_channel(target) as channel:
        try:
            answer = pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(
                pb2.ModelInferRequest(model_name=name, inputs=inputs)
            )
        except grpc.RpcError as error:
            raise AcceptanceError(f"{name} over gRPC: {error}") from error
    if not answer.outputs:
        raise AcceptanceError(f"{name} returns no outputs over gRPC")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    try:
        code = server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise AcceptanceError(f"the server did not stop within {STOP_SECONDS} s") from error
    if code:
        raise AcceptanceError(f"the server exited with {code} after SIGTERM")


def _get(url: str, body: bytes | None = None) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, body) as response:  # noqa: S310 - our own loopback
            content: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise AcceptanceError(f"{url} answers {error.code}: {error.read().decode()}") from error
    return content


if __name__ == "__main__":
    sys.exit(main())

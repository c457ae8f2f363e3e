"""``python -m predictor.acceptance``: whether an image serves its models, before anybody needs it.

Starts the predictor with the same flags and variables as a container would, waits until it is
ready, asks each model over REST and gRPC, and stops it. Needs no network but the loopback.
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
TOKENS = 8


class AcceptanceError(WarmstartError):
    """The server did not do what it is for; the message says what."""


def main(argv: Sequence[str] | None = None) -> int:
    """Start, ask and stop a predictor; 0 if it did all of it."""
    flags = sys.argv[1:] if argv is None else list(argv)
    settings = parse_settings(flags)
    start = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-m", "predictor", *flags])
    try:
        base = f"http://127.0.0.1:{settings.http_port}"
        _wait_until_ready(server, base)
        print(f"ready after {time.perf_counter() - start:.3f} s")
        for name in _get(f"{base}/v1/models")["models"]:
            _ask(base, name)
            if settings.enable_grpc:
                _ask_grpc(f"127.0.0.1:{settings.grpc_port}", base, name)
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
            raise AcceptanceError(f"the server ended with {server.returncode}")
        try:
            if _get(f"{base}/v2/health/ready")["ready"]:
                return
        except (OSError, AcceptanceError):  # not listening yet, or not ready
            time.sleep(POLL_SECONDS)
    raise AcceptanceError(f"the server was not ready after {READY_SECONDS} s")


def _inputs(base: str, name: str) -> list[dict[str, Any]]:
    """Tokens for every tensor a model takes: what all tasks have in common."""
    tensors = _get(f"{base}/v2/models/{name}")["inputs"]
    return [
        {"name": t["name"], "datatype": "INT64", "shape": [1, TOKENS], "data": [1] * TOKENS}
        for t in tensors
        if t["datatype"] == "INT64"
    ]


def _ask(base: str, name: str) -> None:
    body = json.dumps({"inputs": _inputs(base, name)}).encode()
    answer = _get(f"{base}/v2/models/{name}/infer", body)
    if not answer["outputs"][0]["data"]:
        raise AcceptanceError(f"{name} answers with nothing")


def _ask_grpc(target: str, base: str, name: str) -> None:
    import grpc

    from predictor.grpc.protobuf import pb2, pb2_grpc

    request = pb2.ModelInferRequest(model_name=name)
    for tensor in _inputs(base, name):
        request.inputs.add(
            name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"]
        ).contents.int64_contents.extend(tensor["data"])
    with grpc.insecure_channel(target) as channel:
        try:
            answer = pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
        except grpc.RpcError as error:
            raise AcceptanceError(f"{name} over gRPC: {error}") from error
    if not answer.outputs:
        raise AcceptanceError(f"{name} answers with nothing over gRPC")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    try:
        code = server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise AcceptanceError(f"the server did not stop within {STOP_SECONDS} s") from error
    if code:
        raise AcceptanceError(f"the server ended with {code} when it was told to stop")


def _get(url: str, body: bytes | None = None) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, body) as response:  # noqa: S310 - our own loopback
            content: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise AcceptanceError(f"{url} answers {error.code}: {error.read().decode()}") from error
    return content


if __name__ == "__main__":
    sys.exit(main())

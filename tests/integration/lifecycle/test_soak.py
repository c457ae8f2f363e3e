"""Mixed clients, hostile bodies, disconnects and swaps for a long time: nothing grows or changes.

``--soak-seconds=3600`` for an hour; two minutes by default.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest

from benchmarks.harness.process import predictor
from predictor.grpc.protobuf import pb2_grpc
from tests.support.clients.v2 import grpc_request, text_request
from tests.support.machine.cgroups import anonymous_bytes, descriptors, threads
from tests.support.models.packages import describe_again, writable_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(0)]

MB = 2**20
TEXTS = ["the film was good", "a bad book", "i would never watch this again"]
QUESTION = {"question": ["who"], "context": ["the film was good . " * 2000]}
HOSTILE = [
    b"",
    b"{",
    b"[" * 100_000,
    b'{"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [1]}]}',
    b'{"instances": ["good"], "parameters": {"top_k": ' + b"9" * 4301 + b"}}",
    b'{"instances": [' + b"{}," * 100_000 + b"{}]}",
    json.dumps({**text_request(["good"]), "id": "x" * 100_000}).encode(),
    json.dumps(text_request(["good " * 200_000])).encode(),
    json.dumps(text_request(["x" * 100_000])).encode(),
]
# However slow the machine is.
SECONDS = 600
# The first part of the time fills caches and pools.
WARM_UP = 0.3
REFUSED, MOST_REFUSED = "refused", 0.01
SAMPLE_SECONDS = 1.0


class Soak:
    """Clients of one server, each a thread that repeats its step until the end."""

    def __init__(self, server: Predictor, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.ended = threading.Event()
        self.done: dict[str, int] = {}
        self.wrong: list[str] = []
        self._wanted: dict[str, bytes] = {}

    def asks(self) -> None:
        """V2, V1 and windows; every answer is the first one, bit for bit."""
        with httpx.Client(base_url=self.server.url, timeout=SECONDS) as client:
            while not self.ended.is_set():
                self._compare(client, "/v2/models/classifier/infer", text_request(TEXTS))
                self._compare(client, "/v1/models/classifier:predict", {"instances": TEXTS})
                reader = [
                    {"name": name, "datatype": "BYTES", "shape": [1], "data": texts}
                    for name, texts in QUESTION.items()
                ]
                self._compare(client, "/v2/models/reader/infer", {"inputs": reader})

    def calls(self) -> None:
        """The same texts over gRPC."""
        request = grpc_request("classifier", TEXTS)
        with grpc.insecure_channel(self.server.grpc_target) as channel:
            stub = pb2_grpc.GRPCInferenceServiceStub(channel)
            while not self.ended.is_set():
                try:
                    answer = stub.ModelInfer(request, timeout=SECONDS)
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                        raise
                    self._count(REFUSED)
                    continue
                outputs = [output.SerializeToString() for output in answer.outputs]
                self._note("gRPC", b"".join(sorted(outputs)))

    def attacks(self) -> None:
        """Hostile bodies: any status below 500."""
        with httpx.Client(base_url=self.server.url, timeout=SECONDS) as client:
            while not self.ended.is_set():
                for body in HOSTILE:
                    for path in ("/v2/models/classifier/infer", "/v1/models/classifier:predict"):
                        status = client.post(path, content=body).status_code
                        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
                            self.wrong.append(f"{path} {status} for {body[:40]!r}")
                self._count("hostile")

    def leaves(self) -> None:
        """Clients that leave in their head, in their body, or before their answer."""
        host, port = self.server.url.removeprefix("http://").split(":")
        body = json.dumps(text_request(TEXTS * 200)).encode()
        head = (
            f"POST /v2/models/classifier/infer HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}"
        )
        whole = head.encode() + b"\r\n\r\n" + body
        while not self.ended.is_set():
            for cut in (0, 20, len(head) + 100, len(whole)):
                with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
                    connection.sendall(whole[:cut])
                    time.sleep(0.005)
            self._count("left")

    def swaps(self) -> None:
        """New versions with the same answers."""
        number = 0
        while not self.ended.wait(2):
            number += 1
            (self.folder / "classifier" / "report.html").write_text(f"version {number}")
            describe_again(self.folder / "classifier")
            path = f"{self.server.url}/v2/repository/models/classifier/load"
            loaded = httpx.post(path, timeout=SECONDS)
            if loaded.status_code != httpx.codes.OK:
                self.wrong.append(f"swap: {loaded.text}")
            self._count("swap")

    def run(self, seconds: float) -> Iterator[tuple[float, int, int, int]]:
        """The time, anonymous memory, descriptors and threads, again and again."""
        steps = [self.asks, self.asks, self.calls, self.attacks, self.leaves, self.swaps]
        workers = [threading.Thread(target=self._guarded, args=(step,)) for step in steps]
        for worker in workers:
            worker.start()
        start, pid = time.monotonic(), self.server.process.pid
        while (now := time.monotonic() - start) < seconds and not self.wrong:
            yield now, anonymous_bytes(pid), descriptors(pid), threads(pid)
            time.sleep(SAMPLE_SECONDS)
        self.ended.set()
        for worker in workers:
            worker.join()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - it is told at the end
            self.wrong.append(f"{step.__name__}: {error!r}")

    def _compare(self, client: httpx.Client, path: str, body: Any) -> None:
        response = client.post(path, json=body)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            # A machine that is busy with other things may refuse now and then.
            self._count(REFUSED)
            return
        if response.status_code != httpx.codes.OK:
            self.wrong.append(f"{path}: {response.status_code} {response.text[:200]}")
            return
        answer = response.json()
        self._note(path, json.dumps(answer.get("outputs") or answer["predictions"]).encode())

    def _note(self, kind: str, answer: bytes) -> None:
        if self._wanted.setdefault(kind, answer) != answer:
            self.wrong.append(f"{kind}: another answer, {answer[:200]!r}")
        self._count(kind)

    def _count(self, kind: str) -> None:
        self.done[kind] = self.done.get(kind, 0) + 1


def test_nothing_grows_and_no_answer_changes(
    prepared_classifier: Path,
    prepared_reader: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    seconds = float(request.config.getoption("--soak-seconds"))
    folder = tmp_path / "models"
    for name, model in (("classifier", prepared_classifier), ("reader", prepared_reader)):
        writable_copy(model, folder / name)
    # One text in an inference, so that the lengths of others never change a rounding.
    flags = (f"--models_dir={folder}", "--variant=fp32", "--max_padding=0")
    with predictor(folder, tmp_path / "log", *flags, name="classifier") as server:
        soak = Soak(server, folder)
        samples = list(soak.run(seconds))
        with suppress(httpx.TransportError):
            assert httpx.get(f"{server.url}/v2/health/ready").status_code == httpx.codes.OK
    assert soak.wrong == [], soak.done
    answered = sum(count for kind, count in soak.done.items() if kind.startswith(("/", "gRPC")))
    assert soak.done.get(REFUSED, 0) <= max(1, MOST_REFUSED * answered), soak.done
    warm = [sample for sample in samples if sample[0] >= WARM_UP * seconds]
    third = max(1, len(warm) // 3)
    first, last = warm[:third], warm[-third:]
    report = [
        f"{name} {max(sample[place] for sample in first)} → {max(s[place] for s in last)}"
        for place, name in enumerate(("bytes", "descriptors", "threads"), 1)
    ]
    print(f"{seconds:g} s: {soak.done}; {', '.join(report)}")  # noqa: T201
    assert max(s[1] for s in last) <= 1.1 * max(s[1] for s in first) + 16 * MB
    assert max(s[2] for s in last) <= max(s[2] for s in first) + 8
    assert max(s[3] for s in last) <= max(s[3] for s in first) + 2

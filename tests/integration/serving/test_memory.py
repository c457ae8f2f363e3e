"""The worst requests that the limits admit, a hundred at once, under a pod's memory limit."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from benchmarks.harness.process import command_line, free_port, started, wait_until_ready
from tests.support.clients.v2 import text_request
from tests.support.machine.cgroups import MemoryLimit, anonymous_bytes, memory_limit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from subprocess import Popen

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1200)]

MB = 2**20
# The manifests' limit, and docs/capacity.md's for two small models and hostile clients.
LIMITS = {"manifests": 1024 * MB, "capacity": int(1.25 * (85e6 + 3 * 64 * MB + 2 * 4e6))}
AT_ONCE = 100
FEW = 8
BODY = 8 * MB - 1000
SECONDS = 300


def v2(model: str, **inputs: list[str]) -> tuple[str, bytes]:
    tensors = [
        {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": texts}
        for name, texts in inputs.items()
    ]
    body = json.dumps({"inputs": tensors}, ensure_ascii=False).encode()
    return f"/v2/models/{model}/infer", body


def v1(parameters: bytes) -> tuple[str, bytes]:
    body = b'{"instances": ["good"], "parameters": {"a": ' + parameters + b"}}"
    return "/v1/models/classifier:predict", body


ONES = b"1," * (BODY // 2 - 100) + b"1"
WORST = {
    "one text as long as a body": v2("classifier", text=["good film , " * (BODY // 12 - 20)]),
    "wide characters": v2("classifier", text=["good film 😀 " * (BODY // 15 - 20)]),
    "as many texts as may be": v2("classifier", text=["good film , " * 600] * 1024),
    "an endless word": v2("classifier", text=["x" * 131_072]),
    "empty objects": v1(b"[" + b"{}," * (BODY // 3 - 100) + b"{}]"),
    "nested lists": v1(b"[" + b"[0]," * (BODY // 4 - 100) + b"[0]]"),
    "numbers": (
        "/v2/models/classifier/infer",
        b'{"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 1], "data": ['
        + ONES
        + b"]}]}",
    ),
    "long contexts": v2("reader", question=["who"], context=["the film was good . " * 26_000]),
    "many windows": v2("reader", question=["who"] * 300, context=["a good film . " * 150] * 300),
}


@pytest.fixture(scope="module", params=LIMITS)
def limited(
    request: pytest.FixtureRequest,
    prepared_classifier: Path,
    prepared_reader: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Popen[bytes], MemoryLimit]]:
    """A server of two models under a limit: its address, its process and its group."""
    models, port = tmp_path_factory.mktemp("models"), free_port()
    (models / "classifier").symlink_to(prepared_classifier)
    (models / "reader").symlink_to(prepared_reader)
    log = models.with_suffix(".log")
    flags = (f"--models_dir={models}", "--variant=fp32")
    with memory_limit(LIMITS[request.param]) as limit:
        command = limit.command(command_line(models, "m", port, free_port(), *flags))
        with started(command, log) as child:
            wait_until_ready(child, port, "/v2/health/ready", "the predictor", log, 120)
            url = f"http://127.0.0.1:{port}"
            # What connections and threads keep is not a request's.
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(_short, [url] * AT_ONCE))
            yield url, child, limit


@pytest.mark.parametrize("kind", WORST)
def test_the_worst_requests_kill_nobody_and_leave_no_memory_behind(
    limited: tuple[str, Popen[bytes], MemoryLimit], kind: str
) -> None:
    url, child, limit = limited
    path, body = WORST[kind]
    # ONNX Runtime keeps the memory of its largest batch. A few requests make it that large; a
    # hundred at once must leave no more.
    with ThreadPoolExecutor(FEW) as pool:
        list(pool.map(_status, [url + path] * FEW, [body] * FEW))
    before, peak = min(_resting(url, child.pid) for _ in range(6)), 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(_status, url + path, body) for _ in range(AT_ONCE)]
        while not all(each.done() for each in asked):
            assert child.poll() is None, "the process was killed"
            peak = max(peak, anonymous_bytes(child.pid))
            time.sleep(0.01)
    statuses = sorted({each.result() for each in asked})
    after = _settled(url, child.pid, before)
    print(  # noqa: T201 - docs/capacity.md has these figures
        f"{kind}: {statuses}, before {before / MB:.0f}, at most {peak / MB:.0f}, "
        f"after {after / MB:.0f} MiB"
    )
    assert limit.kills == 0
    assert set(statuses) <= {200, 400, 413, 429}
    assert after <= 1.2 * before


def _status(url: str, body: bytes) -> int:
    try:
        return httpx.post(url, content=body, timeout=SECONDS).status_code
    except httpx.WriteError:  # refused by its announced length, and closed
        return 429


def _short(url: str) -> Any:
    answer = httpx.post(
        f"{url}/v2/models/classifier/infer", json=text_request(["good"]), timeout=SECONDS
    )
    assert answer.status_code == httpx.codes.OK
    return answer


def _settled(url: str, pid: int, before: int) -> int:
    """The memory once it is back, or after half a minute."""
    for _ in range(60):
        if (now := _resting(url, pid)) <= 1.2 * before:
            break
    return now


def _resting(url: str, pid: int) -> int:
    """Ask a short request, wait until the heap can be trimmed, and return the memory."""
    _short(url)
    time.sleep(0.5)
    return anonymous_bytes(pid)

"""SIGTERM under load: no accepted request is lost over any transport."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from benchmarks.harness.process import Predictor, launched, predictor
from tests.support.clients.load import Load, Outcomes
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.clients.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

CONNECTIONS = 16
SECONDS = 30
TEXTS = ["the film was good", "a bad book", "i would never watch this again"]


def load_of(running: Predictor) -> Load:
    answer = running.infer(text_request(TEXTS)).json()
    wanted = {answer["model_version"]: outputs_of(answer)["probabilities"]}
    return Load(running, TEXTS, wanted)


def drained(model: Path, log: Path, *flags: str) -> Outcomes:
    """Stop a server under load and return the outcomes of its clients' requests."""
    with predictor(model, log, "--variant=fp32", *flags) as running:

        async def terminate(outcomes: Outcomes) -> None:
            while outcomes.total < 10 * CONNECTIONS:
                await asyncio.sleep(0.001)
            running.process.send_signal(signal.SIGTERM)

        outcomes = asyncio.run(load_of(running).run(CONNECTIONS, terminate))
        assert running.process.wait(SECONDS) == 0
    assert "Traceback" not in log.read_text()
    assert "cut off" not in log.read_text()
    return outcomes


@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("seconds", [0, 0.5])
@pytest.mark.timeout(600)
def test_under_load_no_accepted_request_is_lost(
    prepared_classifier: Path, tmp_path: Path, rounds: int, seconds: float
) -> None:
    for _ in range(rounds):
        outcomes = drained(prepared_classifier, tmp_path / "log", f"--drain_seconds={seconds}")
        assert outcomes.lost == []
        assert outcomes.refused == CONNECTIONS, "every client went on until it was refused"


def test_an_open_connection_may_still_send_its_first_request(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    with predictor(
        prepared_classifier, tmp_path / "log", "--variant=fp32", "--drain_seconds=0"
    ) as running:
        address = urlsplit(running.url)
        silent = http.client.HTTPConnection(address.hostname or "", address.port, timeout=SECONDS)
        silent.connect()
        running.infer(text_request(TEXTS))  # over another one: by now both are accepted
        running.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        silent.request("POST", f"/v2/models/{running.name}/infer", json.dumps(text_request(TEXTS)))
        answer = silent.getresponse()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert running.process.wait(SECONDS) == 0


def test_while_it_drains_it_answers_but_is_not_ready_and_closes_connections(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    flags = ("--variant=fp32", "--drain_seconds=2")
    with predictor(prepared_classifier, tmp_path / "log", *flags) as running:
        kept = running.infer(text_request(TEXTS))
        assert "connection" not in kept.headers
        running.process.send_signal(signal.SIGTERM)
        while running.http.get("/v2/health/ready").status_code == 200:
            time.sleep(0.01)
        for path in ("/v2/health/ready", "/v2/models/m/ready"):
            assert running.http.get(path).status_code == 503
        assert running.http.get("/v2/health/live").status_code == 200
        asked = running.infer(text_request(TEXTS))
        assert (asked.status_code, asked.headers["connection"]) == (200, "close")
        assert running.http.get("/openapi.json").headers["connection"] == "close"
        refused = running.http.post("/v2/repository/models/m/load")
        assert (refused.status_code, refused.json()) == (503, {"error": "the server is stopping"})
        assert running.process.wait(SECONDS) == 0


def test_a_request_that_outlasts_the_grace_period_is_refused(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    texts = [f"good {'very ' * (n % 40)}" for n in range(20_000)]
    flags = (
        *("--variant=fp32", "--lanes=1", "--max_batch_tokens=1"),
        *("--max_request_texts=20000", "--drain_seconds=0", "--grace_seconds=0.2"),
    )
    with predictor(prepared_classifier, log, *flags) as running:

        async def ask() -> Any:
            async with httpx.AsyncClient(base_url=running.url, timeout=SECONDS) as client:
                body = text_request(texts)
                asked = asyncio.create_task(client.post("/v2/models/m/infer", json=body))
                while 'queue_texts{model_name="m"} 0.0' in (await client.get("/metrics")).text:
                    assert not asked.done()
                running.process.send_signal(signal.SIGTERM)
                return await asked

        response = asyncio.run(ask())
        assert (response.status_code, response.json()) == (503, {"error": "the server is stopping"})
        assert running.process.wait(SECONDS) == 0
    assert "1 requests were cut off (--grace_seconds)" in log.read_text()


def test_a_server_that_was_never_ready_ends_at_once(tmp_path: Path) -> None:
    with launched(tmp_path, tmp_path / "log", "--drain_seconds=60") as running:
        assert running.process.wait(SECONDS) == 1


def test_a_load_that_runs_at_the_end_is_refused_and_delays_nothing(
    prepared_classifier: Path, waiting_folder: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "m").symlink_to(prepared_classifier)
    flags = (f"--models_dir={models}", "--variant=fp32", "--drain_seconds=1")
    with predictor(models, tmp_path / "log", *flags) as running, ThreadPoolExecutor() as pool:
        (models / "slow").symlink_to(waiting_folder)
        path = "/v2/repository/models/slow/load"
        asked = pool.submit(httpx.post, running.url + path, timeout=SECONDS)
        index = "/v2/repository/index"
        wait_until(lambda: '"LOADING"' in running.http.post(index).text)
        running.process.send_signal(signal.SIGTERM)
        refused = asked.result()
        assert (refused.status_code, refused.json()) == (503, {"error": "the server is stopping"})
        assert running.http.get("/v2/health/ready").status_code == 503
        assert running.process.wait(SECONDS) == 0

"""A server answers or refuses texts of thousands of tokens, and stays within its memory limit."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from benchmarks.harness.process import (
    command_line,
    free_port,
    predictor,
    started,
    wait_until_ready,
)
from pipeline.recipe.recipe import Recipe
from predictor.engine.attention_room import needed_bytes
from tests.support.clients.v2 import text_request
from tests.support.machine.cgroups import (
    MemoryLimit,
    anonymous_bytes,
    memory_limit,
    peak_bytes,
)
from tests.support.models.models import LONG, LONG_HEADS, make_long_embedder, source
from tests.support.models.prepare import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from subprocess import Popen

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

MB = 10**6
# The scores of 16 heads take 268 MB at 2,048 tokens, three copies 805 MB.
LIMIT = 512 * MB
SECONDS = 300


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Popen[bytes], MemoryLimit]]:
    """A server of a model of 4,096 tokens: its address, its process and its group."""
    model = prepared(source(make_long_embedder), "m", Recipe(variants=("fp32",)))
    port, log = free_port(), tmp_path_factory.mktemp("long") / "server.log"
    with memory_limit(LIMIT) as limit:
        command = limit.command(command_line(model, "m", port, free_port()))
        with started(command, log) as child:
            wait_until_ready(child, port, "/v2/health/ready", "the predictor", log, 120)
            yield f"http://127.0.0.1:{port}", child, limit


def ask(url: str, tokens: int) -> httpx.Response:
    text = "film " * (tokens - 2)
    return httpx.post(f"{url}/v2/models/m/infer", json=text_request([text]), timeout=SECONDS)


@pytest.mark.parametrize("variant", ["fp32", "int8"])
@pytest.mark.parametrize("kind", ["Bert", "ModernBert"])
def test_attention_takes_no_more_memory_than_is_assumed(
    kind: str, variant: str, tmp_path: Path
) -> None:
    model = prepared(source(make_long_embedder, kind=kind), "m", Recipe())
    with predictor(model, tmp_path / "log", "--lanes=1", f"--variant={variant}") as running:
        ask(running.url, 100)
        before = peak_bytes(running.process.pid)
        assert ask(running.url, LONG).status_code == httpx.codes.OK
        took = peak_bytes(running.process.pid) - before
    one = LONG_HEADS * LONG**2 * 4
    print(f"{kind} {variant}: {took / 1e9:.2f} GB, {took / one:.2f} times the scores")  # noqa: T201 - documented
    assert one / 2 < took <= needed_bytes(LONG_HEADS, 1, LONG)


def test_a_text_that_does_not_fit_into_memory_is_refused_and_says_what_does(
    limited: tuple[str, Popen[bytes], MemoryLimit],
) -> None:
    url, child, limit = limited
    answer = ask(url, LONG)
    assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    assert "a text of 4096 tokens needs more memory than this server has" in answer.text
    assert limit.kills == 0
    assert child.poll() is None


def test_the_longest_texts_that_fit_are_answered_at_once_and_leave_no_memory_behind(
    limited: tuple[str, Popen[bytes], MemoryLimit],
) -> None:
    url, child, limit = limited
    ask(url, 100)
    before = anonymous_bytes(child.pid)
    refused = ask(url, LONG).json()["error"]
    longest = int(refused.split("it takes ")[1].split(",")[0])
    assert longest > 1000
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(url, longest), range(20)))
    assert {each.status_code for each in answers} == {httpx.codes.OK}
    assert len({each.text.partition("data")[2] for each in answers}) == 1
    assert limit.kills == 0
    time.sleep(1)
    # One copy of the scores of one text is 125 MB.
    assert anonymous_bytes(child.pid) - before < 40 * MB

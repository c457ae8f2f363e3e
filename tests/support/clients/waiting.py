"""Wait for another process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness.process import Predictor

SECONDS = 30


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail if it never does."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.01)


def wait_until_listening(running: Predictor) -> None:
    """Wait until a predictor's REST port is open."""
    wait_until(lambda: listens(running))


def wait_until_ready(running: Predictor) -> None:
    """Wait until all models of a predictor are ready."""
    wait_until(lambda: running.http.get("/v2/health/ready").status_code == httpx.codes.OK)


def listens(running: Predictor) -> bool:
    """Whether a predictor's REST port is open."""
    try:
        running.http.get("/v2/health/live")
    except httpx.TransportError:
        return False
    return True

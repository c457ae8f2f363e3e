"""Several processes that work at once."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FORK = multiprocessing.get_context("fork")
SECONDS = 60


def run_at_once(*works: Callable[[], object]) -> list[int | None]:
    """Run each work in a process of its own, all at once; return the exit codes."""
    processes = [FORK.Process(target=work) for work in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
    return [process.exitcode for process in processes]

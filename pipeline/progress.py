"""What a person sees of a run: a line when a step starts and one when it ends.

The lines carry a mark, by which a local run finds them among KFP's own output; in a cluster they
are the component's log.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.errors import WarmstartError

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNING, DONE, FAILED = "▸", "✓", "✗"
STEPS = ("snapshot", "export", "optimize", "quantize", "evaluate", "publish")


@dataclass
class Step:
    """``detail``: what the step has to say when it is done."""

    detail: str = ""


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Report one step; an error a person can act on ends the process with one line."""
    label = f"[{STEPS.index(name) + 1}/{len(STEPS)}] {name:<8}"
    _say(f"{RUNNING} {label} …")
    start = time.perf_counter()
    outcome = Step()
    try:
        yield outcome
    except WarmstartError as error:
        _say(f"{FAILED} {label} {' '.join(str(error).split())}")
        raise SystemExit(1) from error
    _say(f"{DONE} {label} {time.perf_counter() - start:6.1f} s  {outcome.detail}")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - KFP collects what a component prints

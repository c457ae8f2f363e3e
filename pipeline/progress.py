"""What a person sees of a run: a line when a step starts and one when it ends.

The lines carry a mark, by which a local run and the storage initializer find them among everything
else that is written; in a cluster they are the component's log.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.errors import WarmstartError
from storage_init.packaging import DONE, FAILED, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

STEPS = ("snapshot", "export", "optimize", "quantize", "evaluate", "publish")


class StepError(WarmstartError):
    """A step failed; the message is the step's number, its name and its own sentence."""


@dataclass
class Step:
    """``detail``: what the step has to say when it is done."""

    detail: str = ""


@contextmanager
def step(name: str, progress: TextIO | None = None) -> Iterator[Step]:
    """Report one step to ``progress``, by default to stdout, whose lines KFP collects.

    Raises:
        StepError: in one line, for an error that a person can act on; others pass as they are.
    """
    label = f"[{STEPS.index(name) + 1}/{len(STEPS)}] {name:<8}"
    _say(f"{RUNNING} {label} …", progress)
    start = time.perf_counter()
    outcome = Step()
    try:
        yield outcome
    except WarmstartError as error:
        raise StepError(f"{label} {' '.join(str(error).split())}") from error
    _say(f"{DONE} {label} {time.perf_counter() - start:6.1f} s  {outcome.detail}", progress)


@contextmanager
def component() -> Iterator[None]:
    """Around a KFP component's work: its failure ends the process with one line."""
    try:
        yield
    except WarmstartError as error:
        _say(f"{FAILED} {error}")
        raise SystemExit(1) from error


def _say(line: str, progress: TextIO | None = None) -> None:
    print(line, file=progress or sys.stdout, flush=True)

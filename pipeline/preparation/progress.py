"""What a person sees of a run: a line when a step starts and one when it ends.

The lines carry a mark, by which a local run and the storage initializer find them among everything
else that is written; in a cluster they are the component's log.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pipeline.preparation import usage
from pipeline.workspace.records import STEPS, Step
from storage_init.base.errors import WarmstartError
from storage_init.base.sizes import size
from storage_init.fetch.preparing import DONE, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

DONE_LINE = re.compile(
    rf"{DONE} \[\d/\d\] (?P<step>\w+) +(?P<seconds>[\d.]+) s +(?P<peak>[\d.]+ \w+)  (?P<detail>.*)"
)


class StepError(WarmstartError):
    """A step failed; the message is the step's number, its name and its own sentence."""


class Finished(NamedTuple):
    """What a step's last line says, as it is written there."""

    step: str
    seconds: str
    peak: str
    detail: str


@contextmanager
def step(name: str, progress: TextIO | None = None) -> Iterator[Step]:
    """Report one step to ``progress``, by default to stdout, whose lines KFP collects.

    Raises:
        StepError: in one line, for an error that a person can act on; others pass as they are.
    """
    say(f"{RUNNING} {label(name)} …", progress)
    usage.reset_peak()
    start = time.perf_counter()
    outcome = Step(name)
    try:
        yield outcome
    except WarmstartError as error:
        raise StepError(f"{label(name)} {' '.join(str(error).split())}") from error
    outcome.seconds = round(time.perf_counter() - start, 3)
    outcome.peak_bytes = usage.peak_bytes()
    measured = f"{outcome.seconds:6.1f} s {size(outcome.peak_bytes):>9}"
    say(f"{DONE} {label(name)} {measured}  {outcome.detail}", progress)


def already(name: str, progress: TextIO | None = None) -> None:
    """Report a step that an interrupted run had finished."""
    say(f"{DONE} {label(name)} done by the run that was interrupted", progress)


def label(name: str) -> str:
    """A step's number and name, in a column of their own."""
    return f"[{STEPS.index(name) + 1}/{len(STEPS)}] {name:<8}"


def finished(line: str) -> Finished | None:
    """What the line of a step that is done says, None if it is another line."""
    found = DONE_LINE.fullmatch(line)
    return Finished(**found.groupdict()) if found else None


def say(line: str, progress: TextIO | None = None) -> None:
    """One line, at once."""
    print(line, file=progress or sys.stdout, flush=True)

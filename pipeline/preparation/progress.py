"""What a person sees of a preparation: a line when a step starts and one when it ends.

Each line begins with a mark, by which the storage initializer tells it from anything else that is
written.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.preparation import process
from pipeline.workspace.records import STEPS, StepRecord
from storage_init.base.errors import WarmstartError
from storage_init.base.logs import DONE, RUNNING
from storage_init.base.sizes import size
from storage_init.sources.transfer import progress as fetching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO


class StepError(WarmstartError):
    """A step failed; the message is one line: the step's number and name, and what is wrong."""

    @property
    def unexpected(self) -> bool:
        """Whether the cause is an error that no code foresaw, so that its traceback matters."""
        return not isinstance(self.__cause__, WarmstartError)


class Lines:
    """Shows the progress of a preparation; writes each line at once, as a log wants it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def show(self, line: str) -> None:
        """Show that a step started or ended."""
        print(line, file=self.stream, flush=True)

    @contextmanager
    def downloading(self, _folder: Path, _total: Callable[[], int]) -> Iterator[None]:
        """Show how much of a download into a folder has arrived, while the block runs."""
        handler = _DownloadLines(self)
        level = fetching.log.level
        fetching.log.addHandler(handler)
        fetching.log.setLevel(logging.INFO)
        try:
            yield
        finally:
            fetching.log.removeHandler(handler)
            fetching.log.setLevel(level)

    def close(self) -> None:
        """Stop showing that a step is under way."""


class _DownloadLines(logging.Handler):
    """Turns what ``storage_init`` logs about a download into lines of the first step."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        of = record.fields  # type: ignore[attr-defined]
        left = of["seconds_left"]
        left = f"{left} s" if isinstance(left, int) else left
        self._lines.show(
            f"{RUNNING} {label(STEPS[0])} {of['mb']} of {of['total_mb']} MB, "
            f"{of['mb_per_second']} MB/s, time left {left}"
        )


@contextmanager
def step(
    name: str, display: Lines, named: Callable[[str], str] = lambda said: said
) -> Iterator[StepRecord]:
    """Report a step and measure it; the block sets ``detail``, what the step has to say.

    ``named`` puts names that a person knows into the message of a failure.

    Raises:
        StepError: the block failed.
    """
    display.show(f"{RUNNING} {label(name)} …")
    process.reset_peak()
    start = time.perf_counter()
    done = StepRecord(name)
    try:
        yield done
    except WarmstartError as error:
        raise StepError(f"{label(name)} {named(' '.join(str(error).split()))}") from error
    except Exception as error:
        raise StepError(f"{label(name)} {named(process.describe_unexpected(error))}") from error
    done.seconds = round(time.perf_counter() - start, 3)
    done.peak_bytes = max(done.peak_bytes, process.peak_bytes())
    measured = f"{done.seconds:6.1f} s {size(done.peak_bytes):>9}"
    display.show(f"{DONE} {label(name)} {measured}  {done.detail}")


def label(step: str) -> str:
    """Return a step's number and name, padded to a common width."""
    return f"[{STEPS.index(step) + 1}/{len(STEPS)}] {step:<8}"

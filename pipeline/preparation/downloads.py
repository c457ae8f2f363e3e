"""Lines about what arrives, for a log: the ones that ``storage_init`` writes, as a step's."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.preparation.progress import label, say
from storage_init.fetch.preparing import RUNNING
from storage_init.sources.transfer import progress as fetching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


@contextmanager
def reported(progress: TextIO | None = None) -> Iterator[None]:
    """While the block runs, say every few seconds how much of a download has come."""
    handler = _Lines(progress)
    level = fetching.log.level
    fetching.log.addHandler(handler)
    fetching.log.setLevel(logging.INFO)
    try:
        yield
    finally:
        fetching.log.removeHandler(handler)
        fetching.log.setLevel(level)


class _Lines(logging.Handler):
    def __init__(self, progress: TextIO | None) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        of = record.fields  # type: ignore[attr-defined]
        left = of["seconds_left"]
        left = f"{left} s" if isinstance(left, int) else left
        say(
            f"{RUNNING} {label('snapshot')} {of['mb']} of {of['total_mb']} MB, "
            f"{of['mb_per_second']} MB/s, time left {left}",
            self._progress,
        )

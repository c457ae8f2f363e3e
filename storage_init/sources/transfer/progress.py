"""Log lines that show the progress of a large download."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage_init.base.logs import event
from storage_init.base.space import used_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INTERVAL_SECONDS = 10.0
MB = 1_000_000

log = logging.getLogger(__name__)


@contextmanager
def reported(folder: Path, total: int, where: str) -> Iterator[None]:
    """Log how many of ``total`` bytes are below ``folder``, until the block ends.

    It watches the folder, so it works with every transport.
    """
    done = threading.Event()
    thread = threading.Thread(
        target=_report, args=(folder, total, where, done), name="progress", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _report(folder: Path, total: int, where: str, done: threading.Event) -> None:
    start, first = time.monotonic(), used_bytes(folder)
    # A little early, so that the line is there when the interval is over.
    while not done.wait(INTERVAL_SECONDS * 0.95):
        have = min(used_bytes(folder), total)
        rate = (have - first) / (time.monotonic() - start)
        event(
            log,
            "fetching",
            uri=where,
            mb=round(have / MB, 1),
            total_mb=round(total / MB, 1),
            mb_per_second=round(rate / MB, 2),
            seconds_left=round((total - have) / rate) if rate > 0 else "unknown",
        )

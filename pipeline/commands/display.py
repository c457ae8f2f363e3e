"""Where a local run's progress goes: bars on a terminal, plain lines into anything else."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TextIO

from pipeline.preparation.progress import label
from pipeline.workspace.records import STEPS
from storage_init.base.space import used_bytes
from storage_init.fetch.preparing import RUNNING

if TYPE_CHECKING:
    from pathlib import Path

    from tqdm import tqdm

REFRESH_SECONDS = 0.2


class Display(Protocol):
    """Is given the lines of the steps as they come."""

    def show(self, line: str) -> None:
        """A step has begun or is done."""

    def close(self) -> None:
        """Nothing more will come."""


class Plain:
    """Every line as it is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing is open."""


class Bars:
    """The step under way in the last line of a terminal: its time, and of a download how far it is.

    Args:
        stream: the terminal.
        arriving: the folder in which a download arrives; it is watched, whatever brings it.
        total: the bytes that will arrive there.
    """

    def __init__(self, stream: TextIO, arriving: Path, total: int) -> None:
        self._stream = stream
        self._arriving = arriving
        self._total = total
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def show(self, line: str) -> None:
        if line.startswith(RUNNING):
            # Further lines of the same step say what the bar shows anyway.
            if self._thread is None:
                self._begin(line)
            return
        self.close()
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _begin(self, line: str) -> None:
        fetches = line.startswith(f"{RUNNING} {label(STEPS[0])}")
        self._stop.clear()
        self._thread = threading.Thread(
            target=self._draw, args=(line.removesuffix(" …"), fetches), daemon=True
        )
        self._thread.start()

    def _draw(self, title: str, fetches: bool) -> None:
        with self._bar(title, fetches) as bar:
            while not self._stop.wait(REFRESH_SECONDS):
                if fetches:
                    with suppress(OSError):
                        bar.n = min(used_bytes(self._arriving), self._total)
                bar.refresh()

    def _bar(self, title: str, fetches: bool) -> tqdm[None]:
        from tqdm import tqdm

        if not fetches:
            shape = "{desc} {elapsed}"
            return tqdm(desc=title, file=self._stream, leave=False, bar_format=shape)
        return tqdm(
            desc=title,
            total=self._total,
            unit="B",
            unit_scale=True,
            file=self._stream,
            leave=False,
            dynamic_ncols=True,
        )

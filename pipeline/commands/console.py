"""What KFP's local runner and the steps write: the steps' own lines are for people."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pipeline.preparation.progress import Finished, finished
from storage_init.fetch.preparing import DONE, FAILED, RUNNING

if TYPE_CHECKING:
    from pipeline.commands.display import Display

TRANSCRIPT_LINES = 40


class Console(io.TextIOBase):
    """Passes the steps' own lines on and keeps everything else for when a step fails.

    ``failure`` is the sentence of the step that failed, ``steps`` what those say that are done.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._pending = ""
        self._lines: list[str] = []
        self.failure = ""
        self.steps: list[Finished] = []

    def write(self, text: str) -> int:
        *lines, self._pending = (self._pending + text).split("\n")
        for line in map(str.strip, lines):
            self._lines.append(line)
            if line.startswith(FAILED):
                self.failure = line.removeprefix(FAILED).strip()
            elif line.startswith((RUNNING, DONE)):
                self._display.show(line)
                if done := finished(line):
                    self.steps.append(done)
        return len(text)

    @property
    def transcript(self) -> str:
        """The last lines of KFP's and the component's output."""
        return "\n".join(self._lines[-TRANSCRIPT_LINES:])

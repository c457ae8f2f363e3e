"""Progress on a terminal: the step under way in its last line, redrawn a few times a second."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from pipeline.preparation.progress import Lines
from storage_init.base.logs import RUNNING
from storage_init.base.space import used_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REFRESH_SECONDS = 0.2


class Bars(Lines):
    """Shows how long the step under way has taken, and how much of a download has arrived."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._download: tuple[Path, int] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def show(self, line: str) -> None:
        self.close()
        if line.startswith(RUNNING):
            self._stop.clear()
            self._thread = threading.Thread(target=self._draw, args=[line], daemon=True)
            self._thread.start()
        else:
            super().show(line)

    @contextmanager
    def downloading(self, folder: Path, total: Callable[[], int]) -> Iterator[None]:
        self._download = folder, total()
        try:
            yield
        finally:
            self._download = None

    def close(self) -> None:
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _draw(self, line: str) -> None:
        title, download = line.removesuffix(" …"), self._download
        looks: dict[str, Any] = {"bar_format": "{desc} {elapsed}"}
        if download is not None:
            looks = {"total": download[1], "unit": "B", "unit_scale": True, "dynamic_ncols": True}
        with tqdm(desc=title, file=self.stream, leave=False, **looks) as bar:
            while not self._stop.wait(REFRESH_SECONDS):
                if download is not None:
                    with suppress(OSError):
                        bar.n = min(used_bytes(download[0]), download[1])
                bar.refresh()

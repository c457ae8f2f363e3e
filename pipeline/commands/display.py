"""Progress on a terminal: the step under way in its last line, redrawn a few times a second."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from tqdm import tqdm

from storage_init.base.progress_lines import RUNNING
from storage_init.base.space import used_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REFRESH_SECONDS = 0.2


class Bars:
    """Shows how long the step under way has taken, and how much of a download has arrived."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
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
            print(line, file=self._stream, flush=True)

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
        if download is None:
            bar = tqdm(desc=title, file=self._stream, leave=False, bar_format="{desc} {elapsed}")
        else:
            bar = tqdm(
                desc=title,
                total=download[1],
                unit="B",
                unit_scale=True,
                file=self._stream,
                leave=False,
                dynamic_ncols=True,
            )
        with bar:
            while not self._stop.wait(REFRESH_SECONDS):
                if download is not None:
                    with suppress(OSError):
                        bar.n = min(used_bytes(download[0]), download[1])
                bar.refresh()

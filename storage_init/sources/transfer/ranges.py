"""Download files in blocks over several connections, for transports that read from any byte.

A file's blocks go into one sparse file. A note beside it says how many bytes of each block have
arrived, so that the next process continues from there.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from storage_init.base.errors import SourceError
from storage_init.sources.transfer.failures import is_transient
from storage_init.sources.transfer.remote import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BLOCK_BYTES = 16 << 20
# A part writes its note after so many bytes: a killed process loses at most these of each file.
NOTE_BYTES = 16 << 20
CONNECTIONS = 8
PARTS = ".parts"

# Yield a file's content from a first byte (inclusive) to a last one (exclusive), in chunks.
Read = Callable[[RemoteFile, int, int], Iterator[bytes]]


def download(files: Sequence[RemoteFile], folder: Path, read: Read) -> None:
    """Download files into a folder in parallel; a second call continues where this one stopped.

    Raises:
        Exception: the first exception of ``read``.
    """
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    parts = [_Part(file, folder) for file in files]
    stop = threading.Event()
    try:
        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="download") as pool:
            blocks = [
                pool.submit(part.fill, start, read, stop) for part in parts for start in part.starts
            ]
            try:
                for block in wait(blocks, return_when=FIRST_EXCEPTION).done:
                    block.result()
            except BaseException as error:
                # After a broken connection the other threads may finish their blocks.
                if not is_transient(error):
                    stop.set()
                raise
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        for part in parts:
            part.close()


class _Part:
    """A file that is arriving; it gets its name when its last block is there."""

    def __init__(self, file: RemoteFile, folder: Path) -> None:
        self.file = file
        self.target = folder / file.path
        identity = hashlib.sha256(f"{file.size} {file.tag} {file.path}".encode()).hexdigest()
        self.path = folder / PARTS / identity[:32]
        self.note = self.path.with_suffix(".json")
        self.lock = threading.Lock()
        # Held while a note goes to the disk; the blocks arrive meanwhile.
        self.noting = threading.Lock()
        step = BLOCK_BYTES if file.ranges else max(file.size, 1)
        self.starts = range(0, file.size, step)
        self.have = self._noted() if file.ranges else {}
        self.unnoted = 0
        self.done = False
        self.descriptor = -1  # opened at the first block: a process may not open all files at once

    def fill(self, start: int, read: Read, stop: threading.Event) -> None:
        """Download the missing rest of the block that starts at ``start``."""
        end = min(start + self.starts.step, self.file.size)
        at = start + self.have.get(start, 0)
        with self.lock:
            if self.done:  # another block found the file whole
                return
            if self.descriptor < 0:
                self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if at < end:
            for chunk in read(self.file, at, end):
                if at + len(chunk) > end:
                    raise SourceError(f"the server sends more of {self.file.path} than was asked")
                self._write(chunk, at)
                at += len(chunk)
                with self.lock:
                    self.have[start] = at - start
                    self.unnoted += len(chunk)
                if self.unnoted >= NOTE_BYTES and self.noting.acquire(blocking=False):
                    try:
                        self._take_note()
                    finally:
                        self.noting.release()
                if stop.is_set():
                    return
        if at < end:
            raise ConnectionError(f"the connection broke off in {self.file.path} at byte {at}")
        with self.noting, self.lock:
            self._settle()

    def close(self) -> None:
        """Write a last note if the file is not whole."""
        if self.descriptor >= 0:
            with suppress(OSError):  # on a full disk the next call fetches these bytes again
                self._take_note()
            os.close(self.descriptor)

    def _settle(self) -> None:
        # If two blocks end together, the first one here renames the file.
        if not self.done and sum(self.have.values()) == self.file.size:
            self.done = True
            os.fsync(self.descriptor)
            os.close(self.descriptor)
            self.descriptor = -1
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(self.target)
            self.note.unlink(missing_ok=True)

    def _take_note(self) -> None:
        # The content first: after a power cut the note must not claim bytes that are not there.
        with self.lock:
            if self.done:
                return
            have, self.unnoted = dict(self.have), 0
        os.fsync(self.descriptor)
        draft = self.path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(have))
        draft.replace(self.note)

    def _noted(self) -> dict[int, int]:
        try:
            noted = msgspec.json.decode(self.note.read_bytes(), type=dict[int, int])
            size = self.path.stat().st_size
        except (OSError, msgspec.MsgspecError):
            return {}
        good = {s: n for s, n in noted.items() if s in self.starts and n >= 0 and s + n <= size}
        return good if all(n <= self.starts.step for n in good.values()) else {}

    def _write(self, chunk: bytes, at: int) -> None:
        view = memoryview(chunk)
        while view:
            count = os.pwrite(self.descriptor, view, at)
            view, at = view[count:], at + count

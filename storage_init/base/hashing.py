"""SHA-256 of files and folders. ``hashlib`` releases the GIL, so threads hash in parallel."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CHUNK_BYTES = 1 << 20
# Each block waits for the GIL, which another thread's imports may hold for 5 ms.
BLOCK_BYTES = 4 << 20


def sha256_file(path: Path) -> str:
    """Return the hex digest of a file's content."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(min(BLOCK_BYTES, max(path.stat().st_size, 1))))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def sha256_files(root: Path, paths: Iterable[str]) -> str:
    """Return one hex digest of several files: of their relative paths and contents, sorted."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{sha256_file(root / path)}  {path}\n".encode())
    return digest.hexdigest()

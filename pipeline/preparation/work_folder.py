"""The folder of a preparation: the same for the same model, so that a later run can continue."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from storage_init.store.layout import STAGING, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY_LENGTH = 24


def folder_for(store: Store, name: str, key: str) -> Path:
    """Where a preparation of ``name`` with this key keeps the results of its steps."""
    return store.root / STAGING / f"prepare-{name}-{key[:KEY_LENGTH]}"


@contextmanager
def work_folder(store: Store, name: str, key: str, *, afresh: bool = False) -> Iterator[Path]:
    """Provide the folder of one preparation, with the results of an interrupted run.

    ``afresh`` empties it. If another process works on the same preparation, or the file system has
    no locks, the folder is a new one. It is removed when the block ends, unless an interruption
    ends it: an exception that is no ``Exception``, or the death of this process.

    Raises:
        StoreError: the store cannot be written.
    """
    folder = folder_for(store, name, key)
    with store.staging("prepare") as own:  # also makes a store that is not there yet
        handle = _lock(folder)
        if handle is None:
            yield own
            return
    try:
        if afresh:
            for entry in folder.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
        try:
            yield folder
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def _lock(folder: Path) -> int | None:
    """Make ``folder`` and lock it until the returned handle is closed; None if another has it."""
    handle = None
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last owner may have removed it meanwhile.
        if os.path.samestat(os.fstat(handle), folder.stat()):
            return handle
    if handle is not None:
        os.close(handle)
    return None

"""Where a local preparation works: the same folder for the same model, so that it can go on."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage_init.store.layout import STAGING, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY_LENGTH = 24


def folder_for(store: Store, name: str, key: str) -> Path:
    """Where a preparation of ``name`` with this key leaves what it has done."""
    return store.root / STAGING / f"prepare-{name}-{key[:KEY_LENGTH]}"


@contextmanager
def work_folder(store: Store, name: str, key: str, *, afresh: bool = False) -> Iterator[Path]:
    """The folder for one preparation, with what one that was interrupted has left there.

    A folder of its own where somebody else is at work on the same, or where the file system has
    no locks. It is gone when the block ends, unless that is by an interruption: anything that is
    no ``Exception``, or the death of this process.

    Args:
        store: gets the folder, in its ``.staging``.
        name: of the model.
        key: of the source's revision and the recipe.
        afresh: begin with an empty folder.

    Raises:
        StoreError: the store cannot be written.
    """
    folder = folder_for(store, name, key)
    handle = _lock(folder)
    if handle is None:
        with store.staging("prepare") as own:
            yield own
        return
    try:
        if afresh:
            _empty(folder)
        yield folder
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def _lock(folder: Path) -> int | None:
    """A handle that holds ``folder``, which is made, until it is closed; None if another does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before may have removed it meanwhile.
        if os.path.samestat(os.fstat(handle), folder.stat()):
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()

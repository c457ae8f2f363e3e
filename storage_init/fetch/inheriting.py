"""The folder in which a process fetches a source: its own, with what a dead predecessor fetched.

The predecessor may only have slept, with its files open and locked. So the folder gets a new random
name, and no file in it is one that the predecessor may still write to.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from storage_init.base.files import last_change, list_files, make_folder
from storage_init.store.layout import STAGING

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store

# The folders of the transports for files that are not whole yet: ours, and huggingface-hub's.
UNFINISHED = frozenset([".parts", ".cache"])


def own_folder(store: Store, key: str) -> Path:
    """Return a path that no other process uses, with the files of a predecessor if there are any.

    ``key``: what is fetched; its lease must be this process's.
    """
    mine = store.root / STAGING / f"{_stem(key)}{uuid.uuid4().hex[:12]}"
    make_folder(mine.parent)
    for earlier in mine.parent.glob(f"{_stem(key)}*"):
        with suppress(OSError):  # another predecessor's files are there already
            if earlier.stat().st_uid != os.geteuid():  # only their owner may seal them
                continue
            earlier.rename(mine)
            try:
                _make_own(mine)
            except OSError:
                shutil.rmtree(mine, ignore_errors=True)
    return mine


def changed(store: Store, key: str) -> float:
    """Return when something last changed in the folders in which ``key`` is fetched."""
    folders = (store.root / STAGING).glob(f"{_stem(key)}*")
    return max((last_change(folder) for folder in folders), default=0.0)


def _make_own(folder: Path) -> None:
    """Remove locks, and replace the unfinished files by copies."""
    unfinished = [path for path in list_files(folder) if UNFINISHED.intersection(path.split("/"))]
    # Notes first: they must not claim bytes that come after the copy.
    for path in sorted(unfinished, key=lambda path: (not path.endswith(".json"), path)):
        file = folder / path
        if path.endswith(".lock"):
            file.unlink()
            continue
        copy = file.with_name(f"{file.name}.copy")
        try:
            shutil.copyfile(file, copy)
            copy.replace(file)
        except OSError:  # no space for two: fetch it again
            copy.unlink(missing_ok=True)
            file.unlink(missing_ok=True)


def _stem(key: str) -> str:
    return f"fetch-{key[:16]}-"

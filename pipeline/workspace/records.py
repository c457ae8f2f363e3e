"""Records of finished steps, so that an interrupted preparation continues where it stopped.

A step gets its record only after everything it wrote is on disk, so a record holds even after the
machine crashes.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from storage_init.base.files import entries, fsync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.recipe.recipe import Recipe

FOLDER = "steps"
STEPS = ("snapshot", "export", "optimize", "quantize", "evaluate", "publish")


class StepRecord(msgspec.Struct):
    """A step with what it said, its time and its peak memory in bytes; it is filled as it runs.

    ``recipe`` is the digest of the recipe that it ran for.
    """

    step: str
    detail: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    recipe: str = ""


def read(root: Path, step: str, recipe: Recipe) -> StepRecord | None:
    """The record of a step below ``root``, None if it has not finished for this recipe."""
    try:
        found = msgspec.json.decode(_path(root, step).read_bytes(), type=StepRecord)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if found.recipe == recipe.digest else None


def write(root: Path, done: StepRecord, recipe: Recipe) -> None:
    """Flush everything below ``root`` to disk, then record that the step has finished."""
    target = _path(root, done.step)
    target.parent.mkdir(exist_ok=True)
    for entry in entries(root):
        if not entry.is_symlink():
            fsync(Path(entry.path))
    # A file is there after a crash only if its folder is on disk, too.
    fsync(root)
    draft = target.with_suffix(".draft")
    done.recipe = recipe.digest
    draft.write_bytes(msgspec.json.encode(done))
    fsync(draft)
    draft.replace(target)
    fsync(target.parent)


@contextmanager
def one_at_a_time(root: Path) -> Iterator[int]:
    """Wait until no other step works below ``root``: a killed run may have left one running.

    Yields the descriptor that holds the lock.
    """
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems have no locks; there, steps run without this protection.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _path(root: Path, step: str) -> Path:
    return root / FOLDER / f"{step}.json"

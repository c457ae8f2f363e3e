"""Which steps of a preparation are done, so that one that was interrupted goes on from there.

A record is made when everything that its step wrote is on disk: what it says holds after a crash
of the machine, too.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from storage_init.format.verify import list_files
from storage_init.store.publish import fsync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe

FOLDER = "steps"
STEPS = ("snapshot", "export", "optimize", "quantize", "evaluate", "publish")


@dataclass
class Step:
    """``detail``: what the step has to say when it is done; the others are measured."""

    name: str
    detail: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0


class Record(msgspec.Struct, frozen=True):
    """A step that is done: what it said, how long it took and its peak memory in bytes.

    ``recipe`` is the digest of the one it was done for.
    """

    step: str
    detail: str
    seconds: float
    peak_bytes: int
    recipe: str


def read(root: Path, step: str, recipe: Recipe) -> Record | None:
    """The record of a step that was done for ``recipe`` below ``root``."""
    try:
        found = msgspec.json.decode(_path(root, step).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if found.recipe == recipe.digest else None


def write(root: Path, done: Step, recipe: Recipe) -> None:
    """Bring what lies below ``root`` to disk, then say that ``done`` is."""
    for path in list_files(root):
        fsync(root / path)
    target = _path(root, done.name)
    target.parent.mkdir(exist_ok=True)
    draft = target.with_suffix(".draft")
    draft.write_bytes(
        msgspec.json.encode(
            Record(done.name, done.detail, done.seconds, done.peak_bytes, recipe.digest)
        )
    )
    fsync(draft)
    draft.replace(target)
    fsync(target.parent)


@contextmanager
def one_at_a_time(root: Path) -> Iterator[int]:
    """Wait for a step that a killed run has left behind at work below ``root``."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems have no locks: there it is as it is without this.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _path(root: Path, step: str) -> Path:
    return root / FOLDER / f"{step}.json"

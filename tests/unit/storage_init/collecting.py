"""Helpers for garbage collection: ages of versions, and the outcomes by version."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from storage_init.store.gc.retention import Policy
from storage_init.store.layout import STAGING

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.gc.collect import Outcome
    from storage_init.store.layout import Store

DAY = 86400.0
EAGER = Policy(keep=1, min_age=0.0)


def age(path: Path, seconds: float) -> None:
    """Make everything below a path older by some seconds."""
    for each in (path, *path.rglob("*")):
        info = each.lstat()
        os.utime(each, (info.st_atime, info.st_mtime - seconds), follow_symlinks=False)


def actions(outcomes: list[Outcome]) -> dict[str, str]:
    return {
        outcome.name.removeprefix("m@"): outcome.action
        for outcome in outcomes
        if outcome.kind == "version"
    }


def reasons(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.name.removeprefix("m@"): outcome.reason for outcome in outcomes}


def staged(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / STAGING).iterdir())


def set_current(store: Store, version: str) -> None:
    link = store.model_folder("m") / "current"
    link.unlink(missing_ok=True)
    link.symlink_to(f"versions/{version}")

"""How often a model was found in the store and how often it had to be fetched.

Many pods count at once on a volume that may have no locks. An event is an empty file with a name
of its own; ``fold`` adds them up now and then. Every step of it is one rename, which exactly one
process wins:

    <store>/.stats/<model>/hit-<id>          an event
    <store>/.stats/<model>/batch-<id>/       events and sums that a fold has taken: all count
    <store>/.stats/<model>/total-<id>/sum    a batch that was added up, renamed: only ``sum`` counts

So a fold that is killed at any step loses nothing and doubles nothing. Who reads while a fold
runs may see an event not at all or twice, until it has finished.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from storage_init.base.errors import PackageError
from storage_init.base.files import fsync
from storage_init.format.package import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from storage_init.store.layout import Store

STATS = ".stats"
SUM = "sum"
# A batch this old belongs to no running fold. A fold that stalls for longer may lose its events.
ABANDONED_SECONDS = 3600.0

Outcome = Literal["hit", "miss"]
Counts = dict[str, int]


def record(store: Store, model: str, outcome: Outcome) -> None:
    """Count one event. Never raises: where the store cannot be written nothing is counted."""
    with suppress(OSError, PackageError, ValueError):
        check_name(model)
        folder = store.root / STATS / model
        if store.root.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{outcome}-{_unique()}").touch(exist_ok=False)


def totals(store: Store) -> dict[str, Counts]:
    """Hits and misses by model; models without events are left out. Raises nothing."""
    counts = {name: _count(store.root / STATS / name) for name in _names(store.root / STATS)}
    return {model: count for model, count in sorted(counts.items()) if any(count.values())}


def fold(store: Store, now: float) -> None:
    """Add the events up; several may do so at once. Nothing is lost where one fails or is killed.

    Args:
        store: whose events; a store that cannot be written is left alone.
        now: seconds since 1970 by the store's clock.
    """
    for name in _names(store.root / STATS):
        with suppress(OSError):
            _fold_model(store.root / STATS / name, now)


def _fold_model(folder: Path, now: float) -> None:
    names = _names(folder)
    events = [name for name in names if name.startswith(("hit-", "miss-"))]
    others = [n for n in names if n.startswith("total-") or _is_abandoned(folder / n, now)]
    if not events and len(others) < 2 and not any(n.startswith("batch-") for n in others):
        return
    identity = _unique()
    batch = folder / f"batch-{identity}"
    batch.mkdir()
    for name in [*events, *others]:
        # Where it is gone another fold has taken it.
        with suppress(FileNotFoundError):
            (folder / name).rename(batch / name)
    _write_durably(batch / SUM, msgspec.json.encode(_count(batch)))
    total = folder / f"total-{identity}"
    batch.rename(total)
    fsync(folder)
    for name in _names(total):
        if name != SUM:
            _remove(total / name)


def _is_abandoned(path: Path, now: float) -> bool:
    try:
        return path.name.startswith("batch-") and now - path.stat().st_mtime > ABANDONED_SECONDS
    except OSError:
        return False


def _count(folder: Path) -> Counts:
    counts = {"hit": 0, "miss": 0}
    for name in _names(folder):
        kind = name.partition("-")[0]
        if kind in counts:
            counts[kind] += 1
        elif kind == "batch":
            _add(counts, _count(folder / name))
        elif kind == "total":
            _add(counts, _read_sum(folder / name / SUM))
    return counts


def _add(counts: Counts, more: Counts) -> None:
    for outcome in counts:
        counts[outcome] += more.get(outcome, 0)


def _read_sum(path: Path) -> Counts:
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(path.read_bytes(), type=Counts)
    return {}


def _write_durably(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    fsync(path)
    fsync(path.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _names(folder: Path) -> Iterable[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return []


def _unique() -> str:
    return uuid.uuid4().hex

"""How often a model was found in the store and how often it had to be fetched.

Many pods count at once on a volume that may have no locks. Each event is an empty file with a
unique name, and ``fold`` adds the events up. Each of its steps is one rename, which exactly one
process wins:

    <store>/.stats/<model>/hit-<id>          an event
    <store>/.stats/<model>/batch-<id>/       events and sums that a fold has taken: all count
    <store>/.stats/<model>/total-<id>/sum    a batch that was added up, renamed: only ``sum`` counts

A fold that is killed loses no event and counts none twice. During a fold, a reader may miss an
event or see it twice.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from storage_init.base.files import children, fsync, make_folder, remove, stale_is_missing
from storage_init.store.layout import is_model

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store

STATS = ".stats"
SUM = "sum"
# No running fold has a batch this old. A fold that stalls for longer may lose its events.
ABANDONED_SECONDS = 3600.0

Outcome = Literal["hit", "miss"]
Counts = dict[str, int]


def record(store: Store, model: str, outcome: Outcome) -> None:
    """Count one event; do nothing if the store cannot be written. Never raises."""
    with suppress(OSError):
        folder = store.root / STATS / model
        if is_model(model) and store.root.is_dir():
            make_folder(folder)
            (folder / f"{outcome}-{uuid.uuid4().hex}").touch(exist_ok=False)


def totals(store: Store) -> dict[str, Counts]:
    """Return hits and misses by model, without the models that have no events. Never raises."""
    counts = {name: _count(store.root / STATS / name) for name in _names(store.root / STATS)}
    return {model: count for model, count in sorted(counts.items()) if any(count.values())}


def fold(store: Store, now: float) -> None:
    """Add the events up; several processes may do so at once.

    ``now`` is in seconds since 1970 by the store's clock. A store that cannot be written stays as
    it is.
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
    identity = uuid.uuid4().hex
    batch = folder / f"batch-{identity}"
    make_folder(batch)
    for name in [*events, *others]:
        # If it is gone, another fold has taken it.
        with suppress(FileNotFoundError), stale_is_missing():
            (folder / name).rename(batch / name)
    (batch / SUM).write_bytes(msgspec.json.encode(_count(batch)))
    fsync(batch / SUM)
    fsync(batch)
    total = folder / f"total-{identity}"
    batch.rename(total)
    fsync(folder)
    for name in _names(total):
        if name != SUM:
            remove(total / name)


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
        elif kind in ("batch", "total"):
            added = _count(folder / name) if kind == "batch" else _read_sum(folder / name / SUM)
            counts = {outcome: counts[outcome] + added.get(outcome, 0) for outcome in counts}
    return counts


def _read_sum(path: Path) -> Counts:
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(path.read_bytes(), type=Counts)
    return {}


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in children(folder)]

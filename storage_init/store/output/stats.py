"""A store in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.files import Usage, measure
from storage_init.store import counters, inventory

if TYPE_CHECKING:
    from storage_init.store.layout import Store


@dataclass(frozen=True)
class ModelStats:
    """A model's versions, bytes, and how often it was found (hit) or had to be fetched (miss)."""

    model: str
    versions: int
    broken: int
    current: str | None
    bytes: int
    disk_bytes: int
    hits: int
    misses: int


@dataclass(frozen=True)
class StagedStats:
    """Something below ``.staging``; ``age_seconds`` since anything in it last changed."""

    name: str
    bytes: int
    age_seconds: float


@dataclass(frozen=True)
class StoreStats:
    """All of it; ``disk_bytes`` counts a file that several versions link to once."""

    store: str
    models: list[ModelStats]
    versions: int
    bytes: int
    disk_bytes: int
    staging: list[StagedStats]
    dangling_currents: list[str]
    dangling_keys: int


def stats(store: Store, now: float) -> StoreStats:
    """Count; ``now`` in seconds since 1970.

    Raises:
        StoreError: there is no store.
    """
    inventory.open_store(store)
    counts = counters.totals(store)
    names = sorted({*inventory.models(store), *counts})
    total = Usage()
    models = [_model(store, name, counts.get(name, {}), total) for name in names]
    return StoreStats(
        store=str(store.root),
        models=models,
        versions=sum(model.versions for model in models),
        bytes=total.bytes,
        disk_bytes=total.disk_bytes,
        staging=[
            StagedStats(item.path.name, item.bytes, now - item.changed)
            for item in inventory.staged(store)
        ],
        dangling_currents=inventory.dangling_currents(store),
        dangling_keys=len(inventory.dangling_keys(store)),
    )


def _model(store: Store, name: str, counts: counters.Counts, total: Usage) -> ModelStats:
    versions = inventory.model_versions(store, name)
    usage = Usage()
    for version in versions:
        measure(version.folder, usage)
        measure(version.folder, total)
    return ModelStats(
        model=name,
        versions=len(versions),
        broken=sum(not version.whole for version in versions),
        current=inventory.current_target(store, name),
        bytes=usage.bytes,
        disk_bytes=usage.disk_bytes,
        hits=counts.get("hit", 0),
        misses=counts.get("miss", 0),
    )

"""A store in numbers; ``stats --json`` prints these types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.files import Usage, measure
from storage_init.store import counters, inventory

if TYPE_CHECKING:
    from storage_init.store.layout import Store


@dataclass(frozen=True)
class ModelStats:
    """A model's versions and bytes; a hit found it in the store, a miss had to fetch it."""

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
    """Something below ``.staging``; ``age_seconds`` counts from the last change in it."""

    name: str
    bytes: int
    age_seconds: float


@dataclass(frozen=True)
class StoreStats:
    """The whole store; ``disk_bytes`` counts a file that several versions link to once."""

    store: str
    models: list[ModelStats]
    versions: int
    bytes: int
    disk_bytes: int
    staging: list[StagedStats]
    dangling_currents: list[str]
    dangling_keys: int


def stats(store: Store, now: float) -> StoreStats:
    """Count what the store holds; ``now`` is in seconds since 1970."""
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

"""``run --dry-run``: what a preparation would do and need, found out without writing anything."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.preparation.work_folder import folder_for
from pipeline.workspace import records
from pipeline.workspace.records import STEPS
from storage_init import sources
from storage_init.base.sizes import size
from storage_init.format.package import check_name

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from storage_init.format.package import Source
    from storage_init.store.layout import Store

# Measured on DistilBERT-base, as shares of the source's weights in 32 bits.
EXPORTED_AND_FUSED = 2.0
VARIANTS = {"fp32": 1.0, "int8": 0.4}
PACKED_FP32 = 0.7


@dataclass(frozen=True)
class Plan:
    """``disk_bytes`` are needed below the store while the model is prepared, about.

    ``kept_bytes`` of them stay. ``hit``: the version that is there already. ``done``: the steps
    that an interrupted run has finished.
    """

    source: Source
    name: str
    hit: Path | None
    done: tuple[str, ...]
    download_bytes: int
    disk_bytes: int
    kept_bytes: int
    free_bytes: int

    @property
    def fits(self) -> bool:
        return self.disk_bytes <= self.free_bytes

    def __str__(self) -> str:
        source = f"{self.source.uri} at revision {self.source.revision}"
        if self.hit:
            return f"{self.name}: {source} is prepared already, nothing to do: {self.hit}"
        todo = [step for step in STEPS if step not in self.done]
        verdict = "" if self.fits else ": that is too little"
        return "\n".join(
            [
                f"{self.name}: {source}",
                f"  done before  {', '.join(self.done) or 'nothing'}",
                f"  to do        {', '.join(todo)}",
                f"  download     {size(self.download_bytes)}",
                f"  disk         about {size(self.disk_bytes)} while it is prepared, "
                f"{size(self.kept_bytes)} of it stay",
                f"  free         {size(self.free_bytes)}{verdict}",
            ]
        )


def plan(source: str, name: str, store: Store, recipe: Recipe, *, force: bool = False) -> Plan:
    """What :func:`pipeline.commands.local.run` would do with the same arguments.

    Raises:
        WarmstartError: what is wrong with the source or the name.
    """
    check_name(name)
    resolved = sources.resolve(source)
    key = recipe.key(resolved)
    workspace = folder_for(store, name, key)
    hit = None if force else store.find(name, key)
    done = () if force else _done(workspace, recipe)
    model = 0 if hit else sources.size(resolved, recipe.weights)
    kept = sum(VARIANTS.get(variant, 0.0) for variant in recipe.variants)
    kept += PACKED_FP32 if recipe.fp32.packed and "fp32" in recipe.variants else 0.0
    return Plan(
        source=resolved,
        name=name,
        hit=hit,
        done=done,
        download_bytes=0 if "snapshot" in done else model,
        # What will be published is copied from the work folder.
        disk_bytes=round(model * (1 + EXPORTED_AND_FUSED + 2 * kept)),
        kept_bytes=round(model * kept),
        free_bytes=shutil.disk_usage(_existing(store.root)).free,
    )


def _done(workspace: Path, recipe: Recipe) -> tuple[str, ...]:
    return tuple(step for step in STEPS if records.read(workspace, step, recipe))


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder

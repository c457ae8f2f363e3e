"""``run --dry-run``: says what a preparation would do and need, without writing anything."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pipeline.original.inspection import inspect_settings, inspect_weights
from pipeline.preparation.work_folder import folder_for
from pipeline.workspace import disk, records
from pipeline.workspace.records import STEPS
from storage_init import sources
from storage_init.base.errors import WarmstartError
from storage_init.base.sizes import size
from storage_init.base.uris import shown
from storage_init.format.codec import check_name
from storage_init.sources import local
from storage_init.sources.transfer.archives import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.recipe.recipe import Recipe
    from storage_init.format.package import Source
    from storage_init.store.layout import Store


class PlanError(WarmstartError):
    """What a preparation would do cannot be found out here."""


@dataclass(frozen=True)
class Plan:
    """The steps and the space of a preparation; all sizes but ``free_bytes`` are estimates.

    ``hit`` is the version that the store has already, ``done`` the steps that an interrupted run
    finished. ``disk_bytes`` is the most below the store at any time; ``kept_bytes`` of it stay.
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
        """Whether the disk has room for the preparation."""
        return self.disk_bytes + disk.MARGIN <= self.free_bytes

    def __str__(self) -> str:
        source = f"{shown(self.source.uri)} at revision {self.source.revision}"
        if self.hit:
            return f"{self.name}: {source} is prepared already, nothing to do: {self.hit}"
        todo = [step for step in STEPS if step not in self.done]
        verdict = "" if self.fits else ": that is too little"
        return (
            f"{self.name}: {source}\n"
            f"  done before  {', '.join(self.done) or 'nothing'}\n"
            f"  to do        {', '.join(todo)}\n"
            f"  download     {size(self.download_bytes)}\n"
            f"  disk         about {size(self.disk_bytes)} while it is prepared, "
            f"{size(self.kept_bytes)} of it stay\n"
            f"  free         {size(self.free_bytes)}{verdict}"
        )


def plan(
    source: Source,
    name: str,
    store: Store,
    recipe: Recipe,
    fetched: Path | None = None,
    *,
    force: bool = False,
) -> Plan:
    """Find out what :func:`pipeline.preparation.runner.prepare` would do; arguments as there.

    Raises:
        WarmstartError: says what is wrong with the source or the name.
    """
    check_name(name)
    key = recipe.key(source)
    free = shutil.disk_usage(_existing(store.root)).free
    if not force and (hit := store.find(name, key)):
        return Plan(source, name, hit, (), 0, 0, 0, free)
    work = folder_for(store, name, key)
    done = () if force else tuple(step for step in STEPS if records.read(work, step, recipe))
    origin = sources.resolve(str(fetched.absolute())) if fetched else source
    with _readable_folder(origin) as folder:
        needed = _inspect(origin, folder, recipe)
        of = disk.Sizes.read(folder, needed)
    return Plan(
        source=source,
        name=name,
        hit=None,
        done=done,
        download_bytes=0 if "snapshot" in done else sum(needed.values()),
        disk_bytes=of.peak(recipe),
        kept_bytes=of.kept(recipe),
        free_bytes=free,
    )


def _inspect(source: Source, folder: Path, recipe: Recipe) -> dict[str, int]:
    """Refuse what the preparation would; returns the bytes of each file that it needs."""
    paths, needed = sources.describe(source, folder, recipe.weights)
    if not next(iter(needed)).endswith(ENDINGS):  # of an archive nothing is known yet
        facts = inspect_settings(folder, paths, recipe)
        inspect_weights(folder, [path for path in needed if (folder / path).exists()], facts)
    return needed


@contextmanager
def _readable_folder(source: Source) -> Iterator[Path]:
    """Provide the source's own folder if it is local, else one for what is downloaded of it."""
    if source.uri.startswith("file://"):
        yield local.folder_of(source.uri)
        return
    try:
        made = TemporaryDirectory(prefix="warmstart-")
    except OSError as error:
        raise PlanError(
            "no folder for temporary files can be written: name one that can with TMPDIR"
        ) from error
    with made as folder:
        yield Path(folder)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder

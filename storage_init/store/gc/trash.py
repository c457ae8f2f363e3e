"""Remove things from a store: rename them out of sight, check once more, and only then delete.

    .staging/gc-<id>/<model>@<version>      taken away; may still be put back
    .staging/gc-<id>/doomed-<id>            never put back; any collector that finds it deletes it

Each step is one rename, which exactly one process wins. So collectors and publishers can run side
by side, and readers never see a part of a version, even if a collector is killed.
"""

from __future__ import annotations

import errno
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base.files import children, fsync, make_folder, remove, stale_is_missing
from storage_init.format.package import PACKAGE_FILE
from storage_init.store.inventory import current_target
from storage_init.store.layout import STAGING, clock_of, readable_errors
from storage_init.store.pins import owners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storage_init.store.layout import Store

PREFIX = "gc-"
DOOMED = "doomed-"
ATTEMPTS = 10


@dataclass(frozen=True)
class Trash:
    """A collector's own folder below ``.staging``."""

    store: Store
    folder: Path

    def now(self) -> float:
        """Seconds since 1970 by the clock of the store's file system, not by this machine's."""
        return clock_of(self.folder)

    def remove_version(
        self, source: Path, model: str, version: str, hindrance: Callable[[Path], str | None]
    ) -> str | None:
        """Remove a version's folder from where it is; the reason if it was put back instead.

        ``hindrance`` has a last look at the folder when no new reader can find it any more.

        Raises:
            FileNotFoundError: another process was faster.
        """
        taken = self.folder / f"{model}@{version}"
        source.rename(taken)
        reason = hindrance(taken)
        # Last, so that the time in which a publisher could turn to it is shortest.
        if current_target(self.store, model) == version:
            reason = "became current"
        elif owners(self.store, model, version):
            reason = "was pinned"
        if reason is None:
            self.doom(taken)
        else:
            self._put_back(taken, model, version)
        return reason

    def restore(self, source: Path, model: str, version: str) -> None:
        """Return a version to its place that another collector had taken away."""
        self.remove_version(source, model, version, lambda _: "it is wanted")

    def _put_back(self, taken: Path, model: str, version: str) -> None:
        """Return a version to its place, unless it was published there anew."""
        target = self.store.version_folder(model, version)
        for _ in range(ATTEMPTS):
            if self._try_to_put_back(taken, target):
                return
        raise OSError(errno.EAGAIN, "it comes and goes: other collectors and publishers are at it")

    def _try_to_put_back(self, taken: Path, target: Path) -> bool:
        """False if another version of it was in the way and has been taken away since."""
        try:
            with stale_is_missing():
                taken.rename(target)
                fsync(target.parent)
        except FileNotFoundError:
            pass  # another collector has put it back
        except OSError:
            if (target / PACKAGE_FILE).is_file():
                self.doom(taken)
            elif target.exists():
                raise
            else:
                return False
        return True

    def doom(self, path: Path) -> None:
        """Delete for good. What cannot be deleted now is left to the next collector."""
        doomed = self.folder / f"{DOOMED}{uuid.uuid4().hex[:12]}"
        path.rename(doomed)
        remove(doomed)

    def remove_key(self, link: Path) -> str | None:
        """Remove a key link that dangles; the reason if it was put back instead.

        Raises:
            FileNotFoundError: another process was faster.
        """
        taken = self.folder / f"key-{uuid.uuid4().hex[:12]}"
        link.rename(taken)
        target = taken.readlink()
        taken.unlink()
        if not (link.parent / target).exists():
            return None
        # If yet another publisher came meanwhile, its link stays.
        with suppress(FileExistsError):
            link.symlink_to(target)
        return "points at a new version"


@contextmanager
def trash(store: Store) -> Iterator[Trash]:
    """A new trash folder, gone afterwards if nothing had to be left in it.

    Raises:
        StoreError: the store cannot be written.
    """
    folder = store.root / STAGING / f"{PREFIX}{uuid.uuid4().hex[:12]}"
    with readable_errors(store):
        make_folder(folder.parent)
        folder.mkdir()
    try:
        yield Trash(store, folder)
    finally:
        with suppress(OSError):
            folder.rmdir()


def left_behind(store: Store, own: Path | None) -> Iterator[tuple[Path, str, str]]:
    """Versions that other collectors have taken away, with model and version."""
    for folder in children(store.root / STAGING):
        if Path(folder.path) != own and folder.name.startswith(PREFIX):
            for taken in children(folder.path):
                model, separator, version = taken.name.rpartition("@")
                if separator:
                    yield Path(taken.path), model, version

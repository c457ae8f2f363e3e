"""The store: a directory of immutable prepared models that many processes read at once.

All state is in the directory. ``models/<name>/versions/<version>/`` never changes after its
publication, ``models/<name>/current`` is a relative link to one of the versions, and
``models/<name>/keys/<key>`` is a relative link to the version prepared from that source and recipe.

A model that was fetched by its URI has no name of an operator. Its versions are on a *shelf*, a
folder of ``models/`` whose name is made from the URI (``places.shelf_of``) and has neither
``current`` nor keys.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.errors import StoreError
from storage_init.base.files import fsync, make_folder, stale_is_missing
from storage_init.format.package import MODEL_NAME, PACKAGE_FILE, SHELF

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAGING = ".staging"
LEASES = ".leases"
# Links from sources at a revision to versions.
FETCHED = "fetched"


@dataclass(frozen=True)
class Store:
    """A store at ``root``; only ``staging`` creates anything."""

    root: Path

    def names(self) -> list[str]:
        """Return the models that have at least one version."""
        folders = _subfolders(self.root / "models")
        return [name for name in folders if self.versions(name)]

    def versions(self, name: str) -> list[str]:
        """Return the published versions of a model, sorted by name."""
        folders = _subfolders(self.model_folder(name) / "versions")
        return [v for v in folders if (self.version_folder(name, v) / PACKAGE_FILE).is_file()]

    def current(self, name: str) -> str | None:
        """Return the version that ``current`` names, or None if it is not published."""
        return self._linked(name, self.model_folder(name) / "current")

    def find(self, name: str, key: str) -> Path | None:
        """Return the folder of the version that was prepared from this key, or None."""
        version = self._linked(name, self.key_link(name, key))
        return None if version is None else self.version_folder(name, version)

    def resolve(self, name: str, version: str | None = None) -> Path:
        """Return the folder of a version, by default of ``current``.

        Raises:
            StoreError: there is no such model or version; the message lists those that exist.
        """
        is_known = is_model(name)
        wanted = version or (self.current(name) if is_known else None)
        known = self.versions(name) if is_known else []
        if wanted is None or wanted not in known:
            what = f"{name}@{version}" if version else name
            have = ", ".join(known) if known else "models " + (", ".join(self.names()) or "none")
            raise StoreError(f"{self.root} has no {what} (it has {have})")
        return self.version_folder(name, wanted)

    def complete(self, name: str, typed: str | None) -> str | None:
        """Return the only version of a model that begins with what a person typed, else that.

        Raises:
            StoreError: several versions begin so.
        """
        if typed is None or not is_model(name):
            return typed
        found = [version for version in self.versions(name) if version.startswith(typed)]
        if len(found) > 1 and typed not in found:
            raise StoreError(f"{name}@{typed} is not one version: {', '.join(found)} begin so")
        return found[0] if len(found) == 1 else typed

    def model_folder(self, name: str) -> Path:
        return self.root / "models" / name

    def version_folder(self, name: str, version: str) -> Path:
        return self.model_folder(name) / "versions" / version

    def key_link(self, name: str, key: str) -> Path:
        return self.model_folder(name) / "keys" / key

    @contextmanager
    def staging(self, label: str = "publish") -> Iterator[Path]:
        """Create a folder on the store's file system; delete it when the block ends."""
        folder = self.root / STAGING / f"{label}-{uuid.uuid4().hex[:12]}"
        with readable_errors(self):
            make_folder(folder.parent)
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _linked(self, name: str, link: Path) -> str | None:
        with suppress(OSError):
            version = link.readlink().name
            if (self.version_folder(name, version) / PACKAGE_FILE).is_file():
                return version
        return None


def is_model(name: str) -> bool:
    """Return whether a text is a name of a model or of a shelf, so that it cannot be a path."""
    return bool(re.match(MODEL_NAME, name) or SHELF.fullmatch(name))


def holds(model: str, described: str) -> bool:
    """Return whether the folder of a model may hold a package that describes itself with a name.

    A fetched package has the name that its author gave to it, so a shelf may hold any.
    """
    return model == described or bool(SHELF.fullmatch(model))


@contextmanager
def readable_errors(store: Store) -> Iterator[None]:
    """Turn an error of the file system into a :class:`StoreError` that names the store."""
    try:
        yield
    except OSError as error:
        problem = error.strerror or error
        raise StoreError(f"cannot write to store {store.root}: {problem}") from error


def discard(store: Store, folder: Path) -> None:
    """Remove a staged folder: hide it by one rename, then delete it."""
    doomed = store.root / STAGING / f"discard-{uuid.uuid4().hex[:12]}"
    with suppress(FileNotFoundError), stale_is_missing():
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def swap_link(store: Store, link: Path, target: str) -> None:
    """Point ``link`` to ``target`` by one rename; readers see the old target or the new one."""
    fresh = store.root / STAGING / f"link-{uuid.uuid4().hex[:12]}"
    fresh.symlink_to(target)
    if not link.is_symlink():
        # The kubelet creates an empty folder for a missing subPath.
        with suppress(OSError):
            link.rmdir()
    fresh.replace(link)
    fsync(link.parent)


def clock_of(folder: Path) -> float:
    """Return the seconds since 1970 by the clock of a folder's file system, not this machine's.

    Raises:
        OSError: the folder cannot be written.
    """
    probe = folder / f"clock-{uuid.uuid4().hex[:12]}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _subfolders(folder: Path) -> list[str]:
    try:
        with stale_is_missing():
            entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))

"""What lies in a store: every version, broken ones too, with its age and what is wrong with it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base.errors import StoreError
from storage_init.base.files import Usage, entries, last_change, measure
from storage_init.format.package import PACKAGE_FILE, SIGNATURE_FILE
from storage_init.store.check import Finding, check
from storage_init.store.layout import STAGING

if TYPE_CHECKING:
    from collections.abc import Collection

    from storage_init.store.layout import Store


# Where the cache keeps its links; not imported, for it would bring all sources along.
FETCHED = "fetched"


@dataclass(frozen=True)
class Version:
    """A version's folder. Times are the store's clock, in seconds since 1970.

    ``published`` is when ``package.json`` was written: nobody writes it again, and a rename or a
    hard link leaves it alone. ``touched`` is when that or the folder itself last changed.
    ``signed``: there is a signature; whose, and whether it is good, has not been checked.
    """

    model: str
    version: str
    folder: Path
    current: bool
    published: float
    touched: float
    signed: bool
    finding: Finding
    usage: Usage

    @property
    def label(self) -> str:
        return f"{self.model}@{self.version}"

    @property
    def whole(self) -> bool:
        return not self.finding.problems


@dataclass(frozen=True)
class Staged:
    """Something below ``.staging``: in progress, or left by what was killed."""

    path: Path
    bytes: int
    changed: float


def open_store(store: Store) -> None:
    """Refuse a path where no store can be.

    Raises:
        StoreError: it is not a folder that may be read.
    """
    try:
        os.scandir(store.root).close()
    except OSError as error:
        raise StoreError(f"{store.root} is not a store: {error.strerror}") from error


def models(store: Store) -> list[str]:
    """Models with a folder, whether or not anything in it is whole."""
    return _folders(store.root / "models")


def version_names(store: Store, model: str) -> list[str]:
    """Every folder among a model's versions, whole or not."""
    return _folders(store.model_folder(model) / "versions")


def current_target(store: Store, model: str) -> str | None:
    """The version that ``current`` names, even if it is not there."""
    try:
        return (store.model_folder(model) / "current").readlink().name
    except OSError:
        return None


def versions(store: Store) -> list[Version]:
    """All versions of all models, the newest of each model first; sizes are checked, not hashes."""
    return [version for model in models(store) for version in model_versions(store, model)]


def model_versions(store: Store, model: str) -> list[Version]:
    """All versions of one model, the newest first."""
    found = [survey(store, model, name) for name in version_names(store, model)]
    return sorted(found, key=lambda version: (-version.published, version.version))


def survey(store: Store, model: str, name: str) -> Version:
    """One version as it is now."""
    folder = store.version_folder(model, name)
    written, changed = _mtime(folder / PACKAGE_FILE), _mtime(folder)
    return Version(
        model=model,
        version=name,
        folder=folder,
        current=current_target(store, model) == name,
        published=written or changed,
        touched=max(written, changed),
        signed=(folder / SIGNATURE_FILE).is_file(),
        finding=check(folder, model, name, hashes=False),
        usage=measure(folder),
    )


def staged(store: Store) -> list[Staged]:
    """What lies below ``.staging``, the oldest first."""
    folder = store.root / STAGING
    try:
        paths = list(folder.iterdir())
    except OSError:
        paths = []
    found = [Staged(path, measure(path).bytes, last_change(path)) for path in paths]
    return sorted(found, key=lambda item: (item.changed, item.path.name))


def dangling_currents(store: Store) -> list[str]:
    """Models whose ``current`` names a version that is not there."""
    return [
        model
        for model in models(store)
        if (target := current_target(store, model)) is not None
        and not store.version_folder(model, target).is_dir()
    ]


def dangling_keys(store: Store, going: Collection[Path] = ()) -> list[Path]:
    """Links by key whose version is not there; the folders ``going`` count as not there.

    Those of each model, and those by which the cache finds what was made from a source.
    """
    folders = [store.model_folder(model) / "keys" for model in models(store)]
    links = [
        Path(entry.path)
        for folder in (*folders, store.root / FETCHED)
        for entry in entries(folder)
        if entry.is_symlink()
    ]
    gone = {str(folder) for folder in going}
    return sorted(link for link in links if _target(link) in gone or not link.is_dir())


def _target(link: Path) -> str:
    with suppress(OSError):
        return os.path.normpath(link.parent / link.readlink())
    return ""


def _mtime(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _folders(folder: Path) -> list[str]:
    try:
        found = list(os.scandir(folder))
    except OSError:
        return []
    return sorted(
        e.name for e in found if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")
    )

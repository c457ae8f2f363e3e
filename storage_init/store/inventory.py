"""Every version in a store, broken ones too, with its age and its problems."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base.files import Usage, children, entries, last_change, measure
from storage_init.format.package import PACKAGE_FILE, SIGNATURE_FILE
from storage_init.store import pins
from storage_init.store.check import Finding, check
from storage_init.store.layout import FETCHED, STAGING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from storage_init.store.layout import Store


@dataclass(frozen=True)
class Version:
    """A version's folder. Times are the store's clock, in seconds since 1970.

    ``published`` is when ``package.json`` was written; renames and hard links do not change it.
    ``touched`` is the last change of ``package.json`` or of the folder. ``signed`` says that there
    is a signature, which has not been verified. ``pins`` are the services that keep the version.
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
    pins: Sequence[str] = ()

    @property
    def label(self) -> str:
        return f"{self.model}@{self.version}"

    @property
    def whole(self) -> bool:
        return not self.finding.problems


@dataclass(frozen=True)
class Staged:
    """Something below ``.staging``: work in progress, or what a killed process left."""

    path: Path
    bytes: int
    changed: float


def models(store: Store) -> list[str]:
    """Return the models that have a folder, even if none of their versions is whole."""
    return _folders(store.root / "models")


def version_names(store: Store, model: str) -> list[str]:
    """Return every folder among a model's versions, whole or not."""
    return _folders(store.model_folder(model) / "versions")


def current_target(store: Store, model: str) -> str | None:
    """Return the version that ``current`` names, even if it does not exist."""
    try:
        return (store.model_folder(model) / "current").readlink().name
    except OSError:
        return None


def versions(store: Store) -> list[Version]:
    """Return all versions of all models; check sizes, but not hashes."""
    return [version for model in models(store) for version in model_versions(store, model)]


def model_versions(store: Store, model: str) -> list[Version]:
    """Return all versions of one model, the newest first."""
    found = [survey(store, model, name) for name in version_names(store, model)]
    return sorted(found, key=lambda version: (-version.published, version.version))


def survey(store: Store, model: str, name: str) -> Version:
    """Return one version as it is now."""
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
        pins=pins.owners(store, model, name),
    )


def staged(store: Store) -> list[Staged]:
    """Return the entries of ``.staging``, the oldest first."""
    paths = [Path(entry.path) for entry in children(store.root / STAGING)]
    found = [Staged(path, measure(path).bytes, last_change(path)) for path in paths]
    return sorted(found, key=lambda item: (item.changed, item.path.name))


def dangling_currents(store: Store) -> list[str]:
    """Return the models whose ``current`` names a version that does not exist."""
    targets = {model: current_target(store, model) for model in models(store)}
    return [
        model
        for model, target in targets.items()
        if target is not None and not store.version_folder(model, target).is_dir()
    ]


def dangling_keys(store: Store, going: Collection[Path] = ()) -> list[Path]:
    """Return the links to versions that do not exist or are among the folders ``going``.

    These are each model's links by key, and the links by source that ``fetch`` keeps.
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
    found = [entry for entry in children(folder) if entry.is_dir(follow_symlinks=False)]
    return [entry.name for entry in found if not entry.name.startswith(".")]

"""Turn a store's versions of format 2 into versions of format 3, while pods read both.

For each version: link its files into a new folder, describe them in format 3, put the folder among
the model's versions, and then move what leads to the old version: keys and links of sources, and
``current`` last. Each step is one rename or one new link, and is skipped if it was done before, so
a migration that was killed is finished by the next. Nothing is deleted: the old version stays for
its readers, and for services that have pinned it, until gc removes it.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from storage_init.base.errors import WarmstartError
from storage_init.base.files import children, fsync, link_files, make_folder, swap
from storage_init.format import codec, measurements, signing
from storage_init.format.package import (
    MEASUREMENTS_FILE,
    PACKAGE_FILE,
    REPORT_FILE,
    SIGNATURE_FILE,
    Package,
)
from storage_init.format.reading import describe
from storage_init.format.verify import verify
from storage_init.store import inventory, pins
from storage_init.store.check import check
from storage_init.store.layout import (
    FETCHED,
    STAGING,
    Store,
    readable_errors,
)
from storage_init.store.publish import put_in_place

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD_FORMAT = 2
UNSIGNED = "it is signed, and its new description needs a signature: give --key"


@dataclass(frozen=True)
class Migrated:
    """What became of one version of format 2.

    ``new``: its version in format 3. ``moved``: the links that lead there now. ``pins``: services
    that still name the old one. ``problem``: why it was left alone, if it was.
    """

    model: str
    version: str
    new: str = ""
    moved: list[str] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    problem: str = ""


def migrate(store: Store, key: Path | None = None) -> Iterator[Migrated]:
    """Migrate every version of format 2, and say what became of each.

    ``key``: PEM file of the private key to sign with; without it, signed versions are left alone.

    Raises:
        StoreError: the store cannot be written.
        SigningKeyError: the key cannot be used.
    """
    with readable_errors(store):
        make_folder(store.root / STAGING)
        for model in inventory.models(store):
            for version in inventory.version_names(store, model):
                found = _migrate_if_old(store, model, version, key)
                # A problem of a version that gc has removed meanwhile is none.
                if found and (not found.problem or store.version_folder(model, version).is_dir()):
                    yield found


def _migrate_if_old(store: Store, model: str, version: str, key: Path | None) -> Migrated | None:
    finding = check(store.version_folder(model, version), model, version, hashes=False)
    package = finding.package
    if package is None or package.format_version != OLD_FORMAT:
        return None
    if finding.problems:
        return Migrated(model, version, problem="; ".join(finding.problems))
    try:
        return _migrate(store, model, version, key)
    except (WarmstartError, FileNotFoundError) as error:
        return Migrated(model, version, problem=str(error))


def _migrate(store: Store, model: str, version: str, key: Path | None) -> Migrated:
    old = store.version_folder(model, version)
    if (old / SIGNATURE_FILE).exists() and key is None:
        return Migrated(model, version, problem=UNSIGNED)
    package = describe(old).package
    content = codec.encode(converted(package))
    new = store.version_folder(model, codec.version_of(content))
    with pins.holding(store, model) as hold:
        if not hold(new.name):
            with store.staging("migrate") as staged:
                _fill(staged, old, package, content, key)
                put_in_place(store, staged, new)
        moved = list(_move_links(store, model, package, version, new.name))
    return Migrated(model, version, new.name, moved, pins.owners(store, model, version))


def converted(package: Package) -> Package:
    """Return the description in format 3 of a package of format 2: its files less the report."""
    kept = [entry for entry in package.files if entry.path != REPORT_FILE]
    own = codec.key_of(package.source, package.recipe_digest, OLD_FORMAT)
    key = codec.key_of(package.source, package.recipe_digest) if package.key == own else package.key
    return msgspec.structs.replace(package, format_version=3, key=key, files=kept)


def _fill(staged: Path, old: Path, package: Package, content: bytes, key: Path | None) -> None:
    """Link the files, and write the description with its companions and its signature."""
    link_files(old, [entry.path for entry in package.files], staged)
    found = measurements.read(old, package, old.name)
    measured = msgspec.structs.replace(found, package=codec.digest(content))
    (staged / PACKAGE_FILE).write_bytes(content)
    described = codec.decode(content)
    (staged / described.sums_file).write_bytes(codec.sums(described, content))
    (staged / MEASUREMENTS_FILE).write_bytes(measurements.encode(measured))
    if key is not None:
        # A signature must not vouch for files that differ from what was signed before.
        signing.admit(old, package=package)
        verify(staged)
        signing.sign(staged, key)


def _move_links(store: Store, model: str, package: Package, old: str, new: str) -> Iterator[str]:
    """Lead keys, links of sources and ``current`` to the new version; yield those that moved."""
    folder = store.model_folder(model)
    if store.find(model, package.key) == store.version_folder(model, old):
        link = store.key_link(model, converted(package).key)
        with suppress(FileExistsError):
            link.symlink_to(f"../versions/{new}")
            fsync(link.parent)
            yield f"keys/{link.name}"
    for entry in children(store.root / FETCHED):
        where = f"../models/{model}/versions"
        if _move(store, Path(entry.path), f"{where}/{old}", f"{where}/{new}"):
            yield f"{FETCHED}/{entry.name}"
    if _move(store, folder / "current", f"versions/{old}", f"versions/{new}"):
        yield "current"


def _move(store: Store, link: Path, old: str, new: str) -> bool:
    """Lead a link from ``old`` to ``new``; return False if it leads elsewhere.

    A publisher may move it at the same moment. What was displaced tells: if it was not ``old``, it
    goes back, and so on until what comes out is what was put in.
    """
    if not link.is_symlink() or str(link.readlink()) != old:
        return False
    fresh = store.root / STAGING / f"link-{uuid.uuid4().hex[:12]}"
    fresh.symlink_to(new)
    try:
        expected, placed = old, new
        while swap(fresh, link):
            displaced = str(fresh.readlink())
            if displaced == expected:
                break
            expected, placed = placed, displaced
        else:  # a file system that cannot exchange two names, such as NFS
            fresh.replace(link)
    finally:
        fresh.unlink(missing_ok=True)
    fsync(link.parent)
    return placed == new

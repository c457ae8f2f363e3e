"""Publish a staged folder as a version; readers see the whole version or none.

The steps are: stage, fsync, rename, swap ``current``. If the writer dies, ``current`` names a whole
version before and after each step.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base.errors import PackageError
from storage_init.base.files import fsync, list_files
from storage_init.base.hashing import sha256_file
from storage_init.base.variables import SIGN_KEY, VERIFY_KEY
from storage_init.format import package as packages
from storage_init.format import reading, signing
from storage_init.format.package import (
    DIGEST_FILE,
    PACKAGE_FILE,
    SIGNATURE_FILE,
    FileEntry,
    Package,
)
from storage_init.store.layout import STAGING, Store, readable_errors

if TYPE_CHECKING:
    from collections.abc import Callable

# Every user may read a published version, and not even its owner writes it by accident.
FILE_MODE = 0o444
FOLDER_MODE = 0o755
# A collection may remove a version between two looks at it.
RACES_WITH_GC = 10


def describe_files(folder: Path) -> list[FileEntry]:
    """Return an entry for every file below a folder, in path order."""
    return [describe_file(folder, path) for path in sorted(list_files(folder))]


def describe_file(folder: Path, path: str) -> FileEntry:
    """Return the entry of one file; ``path`` is relative to ``folder``."""
    file = folder / path
    return FileEntry(path=path, size=file.stat().st_size, sha256=sha256_file(file))


def publish(
    store: Store,
    staged: Path,
    describe: Callable[[list[FileEntry]], Package],
    *,
    supersede: bool = False,
) -> Path:
    """Publish a staged folder as a version, make it ``current``, and return the version's folder.

    Args:
        store: where to publish; ``staged`` must be below its ``.staging``.
        staged: a folder with all files of the package except ``package.json``; it is moved.
        describe: returns the package for the entries of those files.
        supersede: replace an existing version of the same key. Otherwise, if another writer has
            published that key first, its version is kept and returned.

    If ``WARMSTART_SIGN_KEY`` is set, the package is signed before readers can see it.

    Raises:
        PackageError: the folder lacks files that a package needs.
        SigningKeyError: the key cannot be used; nothing is published.
        StoreError: the store cannot be written; ``current`` is as it was.
    """
    with readable_errors(store):
        package, content = _describe(staged, describe)
        (staged / PACKAGE_FILE).write_bytes(content)
        (staged / DIGEST_FILE).write_bytes(packages.digest_line(content))
        if key := SIGN_KEY.read():
            signing.sign(staged, key)
        version = packages.version_of(content)
        version = _commit(store, staged, package, version, supersede=supersede)
        swap_link(store, store.model_folder(package.name) / "current", f"versions/{version}")
    return store.version_folder(package.name, version)


def adopt(store: Store, staged: Path) -> Path:
    """Publish a staged folder that is a verified package as a version; return its folder.

    It becomes ``current`` only if there is none: a pod that fetches one revision must not change
    what others serve. Its signature comes along, but it is not signed here, because it was prepared
    elsewhere.

    Raises:
        StoreError: the store cannot be written; ``current`` is as it was.
    """
    with readable_errors(store):
        package, version = reading.read_package(staged)
        version = _commit(store, staged, package, version)
        if store.current(package.name) is None:
            swap_link(store, store.model_folder(package.name) / "current", f"versions/{version}")
    return store.version_folder(package.name, version)


def _commit(
    store: Store, staged: Path, package: Package, version: str, *, supersede: bool = False
) -> str:
    """Move a described folder into ``versions/``; return the version that has its key now."""
    _seal(staged)
    _rename_into_place(staged, store.version_folder(package.name, version))
    return _claim_key(store, package, version, supersede=supersede)


def _describe(
    staged: Path, describe: Callable[[list[FileEntry]], Package]
) -> tuple[Package, bytes]:
    """Return the package and its canonical bytes; refuse what a reader would refuse."""
    for path in sorted(list_files(staged)):
        if (staged / path).is_symlink():
            raise PackageError(f"{path} is a link: a package must contain its files")
    try:
        package = describe(describe_files(staged))
    except ValueError as error:
        raise PackageError(f"{staged} is not a package: {error}") from error
    content = packages.encode(package)
    packages.decode(content)
    return package, content


def _seal(folder: Path) -> None:
    """Set the modes, then sync every file and folder to disk, the innermost first."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(root) / name
            path.chmod(FILE_MODE)
            fsync(path)
        Path(root).chmod(FOLDER_MODE)
        fsync(Path(root))


def _rename_into_place(staged: Path, target: Path) -> None:
    make_folder(target.parent)
    for attempt in range(RACES_WITH_GC):
        try:
            staged.rename(target)
            break
        except OSError:
            # A version's name is the digest of its content, so the target has the same bytes.
            if (target / PACKAGE_FILE).is_file():
                _bring_signature(staged, target)
                break
            if target.exists() or attempt == RACES_WITH_GC - 1:
                raise
    fsync(target.parent)


def _bring_signature(staged: Path, target: Path) -> None:
    """Give an existing version the signature of its staged copy, if it has none.

    With ``WARMSTART_VERIFY_KEY`` set, that signature has been verified and replaces an older one.
    """
    signature = target / SIGNATURE_FILE
    if not (staged / SIGNATURE_FILE).is_file():
        return
    if VERIFY_KEY.read() or not signature.exists():
        # If this fails, the check of the signature reports that it is missing.
        with suppress(OSError):
            (staged / SIGNATURE_FILE).replace(signature)
            fsync(target)


def _claim_key(store: Store, package: Package, version: str, *, supersede: bool) -> str:
    """Give ``version`` its key; if another writer was first, discard it and return theirs."""
    link = store.key_link(package.name, package.key)
    make_folder(link.parent)
    try:
        link.symlink_to(f"../versions/{version}")
    except FileExistsError:
        first = store.find(package.name, package.key)
        if first is None or supersede:  # None: the key names a version that was removed
            swap_link(store, link, f"../versions/{version}")
        elif first.name != version:
            discard(store, store.version_folder(package.name, version))
            return first.name
    fsync(link.parent)
    return version


def discard(store: Store, folder: Path) -> None:
    """Remove a version's folder: hide it by one rename, then delete it."""
    doomed = store.root / STAGING / f"discard-{uuid.uuid4().hex[:12]}"
    with suppress(FileNotFoundError):
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


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; sync each to disk before creating the next below it."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        new.chmod(FOLDER_MODE)
        fsync(new.parent)

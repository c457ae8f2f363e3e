"""Publication: from a staged folder to a version that readers see whole or not at all.

Stage, fsync, rename, swap the pointer (DESIGN, rule 1). Whatever kills the writer, ``current``
names a whole version before and after every single step.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base.errors import PackageError, StoreError
from storage_init.base.files import fsync, list_files
from storage_init.base.hashing import sha256_file
from storage_init.format import package as packages
from storage_init.format import reading, signing
from storage_init.format.package import (
    DIGEST_FILE,
    PACKAGE_FILE,
    SIGNATURE_FILE,
    FileEntry,
    Package,
)
from storage_init.store.layout import STAGING, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Any uid reads a published version and nobody, its owner included, writes it by accident.
FILE_MODE = 0o444
FOLDER_MODE = 0o755
# A version that was there may be collected between two looks at it.
RACES_WITH_GC = 10


def describe_files(folder: Path) -> list[FileEntry]:
    """An entry for every file below a folder, in path order."""
    return [describe_file(folder, path) for path in sorted(list_files(folder))]


def describe_file(folder: Path, path: str) -> FileEntry:
    """The entry of one file; ``path`` is relative to ``folder``."""
    file = folder / path
    return FileEntry(path=path, size=file.stat().st_size, sha256=sha256_file(file))


def publish(
    store: Store,
    staged: Path,
    describe: Callable[[list[FileEntry]], Package],
    *,
    supersede: bool = False,
) -> Path:
    """Make a staged folder a version of its model and ``current``; returns the version's folder.

    Args:
        store: where to publish; ``staged`` must be below its ``.staging``.
        staged: a folder with all of the package's files but ``package.json``; it is consumed.
        describe: given the entries of those files, the package.
        supersede: whether it takes the place of a version of the same key. Without it, where
            another writer has published that key first, its version is kept and returned.

    With ``WARMSTART_SIGN_KEY`` set the package is signed before anybody sees it.

    Raises:
        PackageError: the folder does not hold what a package needs.
        SigningKeyError: the key cannot be used; nothing is published.
        StoreError: the store cannot be written; ``current`` is as it was.
    """
    with readable_errors(store):
        package, content = _describe(staged, describe)
        (staged / PACKAGE_FILE).write_bytes(content)
        (staged / DIGEST_FILE).write_bytes(packages.digest_line(content))
        if key := signing.sign_key():
            signing.sign(staged, key)
        version = packages.version_of(content)
        version = _commit(store, staged, package, version, supersede=supersede)
        swap_link(store, store.model_folder(package.name) / "current", f"versions/{version}")
    return store.version_folder(package.name, version)


def adopt(store: Store, staged: Path) -> Path:
    """Make a staged folder that is a whole, verified package a version; returns its folder.

    It becomes ``current`` only where there is none: what others are served is not changed by
    somebody who asked for one revision of a source. A signature comes along; none is made, for
    it was prepared elsewhere.

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
    """Bring a described folder into ``versions/``; the version that now holds its key."""
    _seal(staged)
    _rename_into_place(staged, store.version_folder(package.name, version))
    return _claim_key(store, package, version, supersede=supersede)


@contextmanager
def readable_errors(store: Store) -> Iterator[None]:
    """Turns what the file system says into a :class:`StoreError` that names the store."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write to store {store.root}: {error.strerror or error}"
        ) from error


def _describe(
    staged: Path, describe: Callable[[list[FileEntry]], Package]
) -> tuple[Package, bytes]:
    """The package and its canonical bytes; what a reader would refuse is refused here."""
    for path in sorted(list_files(staged)):
        if (staged / path).is_symlink():
            raise PackageError(f"{path} is a link: a package holds its files itself")
    try:
        package = describe(describe_files(staged))
    except ValueError as error:
        raise PackageError(f"{staged} does not hold a package: {error}") from error
    content = packages.encode(package)
    packages.decode(content)
    return package, content


def _seal(folder: Path) -> None:
    """Fix modes, then bring every file and folder to disk, the innermost first."""
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
            # The same bytes are already there: a version's name is the digest of its content.
            if (target / PACKAGE_FILE).is_file():
                _bring_signature(staged, target)
                break
            if target.exists() or attempt == RACES_WITH_GC - 1:
                raise
    fsync(target.parent)


def _bring_signature(staged: Path, target: Path) -> None:
    """Give a version that was there already the signature of its twin, if it has none.

    With ``WARMSTART_VERIFY_KEY`` set the twin's has been verified, so it replaces another.
    """
    signature = target / SIGNATURE_FILE
    if not (staged / SIGNATURE_FILE).is_file():
        return
    if signing.verify_key() or not signature.exists():
        # Where it cannot be written, whoever asks for the signature says that it is not there.
        with suppress(OSError):
            (staged / SIGNATURE_FILE).replace(signature)
            fsync(target)


def _claim_key(store: Store, package: Package, version: str, *, supersede: bool) -> str:
    """Make ``version`` the one for its key, unless a writer was first: then drop it for theirs."""
    link = store.key_link(package.name, package.key)
    make_folder(link.parent)
    try:
        link.symlink_to(f"../versions/{version}")
    except FileExistsError:
        first = store.find(package.name, package.key)
        if first is None or supersede:  # none: it points at a version that was removed since
            swap_link(store, link, f"../versions/{version}")
        elif first.name != version:
            discard(store, store.version_folder(package.name, version))
            return first.name
    fsync(link.parent)
    return version


def discard(store: Store, folder: Path) -> None:
    """Out of sight by one rename, then deleted."""
    doomed = store.root / STAGING / f"discard-{uuid.uuid4().hex[:12]}"
    with suppress(FileNotFoundError):
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def swap_link(store: Store, link: Path, target: str) -> None:
    """Point ``link`` at ``target`` by one rename; readers see the old target or the new one."""
    fresh = store.root / STAGING / f"link-{uuid.uuid4().hex[:12]}"
    fresh.symlink_to(target)
    if not link.is_symlink():
        # The kubelet makes an empty folder of a subPath that it does not find.
        with suppress(OSError):
            link.rmdir()
    fresh.replace(link)
    fsync(link.parent)


def make_folder(folder: Path) -> None:
    """``mkdir -p``, with every new entry on disk before anything is put below it."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        new.chmod(FOLDER_MODE)
        fsync(new.parent)

"""Publish a staged folder as a version; readers see the whole version or none.

The steps are: stage, fsync, rename, swap ``current``, link the key. If the writer dies, ``current``
names a whole version before and after each step. No step removes a published version.
"""

from __future__ import annotations

import logging
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base.errors import PackageError
from storage_init.base.files import (
    exchange,
    folder_mode,
    fsync,
    list_files,
    make_folder,
    stale_is_missing,
)
from storage_init.base.hashing import sha256_file
from storage_init.base.variables import SIGN_KEY, VERIFY_KEY
from storage_init.format import codec, reading, signing
from storage_init.format.package import (
    PACKAGE_FILE,
    SIGNATURE_FILE,
    UNCOVERED,
    FileEntry,
    Package,
)
from storage_init.format.verify import is_whole
from storage_init.store.layout import STAGING, Store, readable_errors, swap_link
from storage_init.store.pins import holding

if TYPE_CHECKING:
    from collections.abc import Callable

# Every user may read a published version, and not even its owner writes it by accident.
FILE_MODE = 0o444
# A collection may remove a version between two looks at it.
RACES_WITH_GC = 10

log = logging.getLogger(__name__)


def describe_files(folder: Path) -> list[FileEntry]:
    """Return an entry for every file below a folder that a version covers, in path order."""
    return [
        FileEntry(path=path, size=file.stat().st_size, sha256=sha256_file(file))
        for path in sorted(list_files(folder).difference(UNCOVERED))
        for file in [folder / path]
    ]


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
        describe: returns the package for the entries of those files, and may add measurements.
        supersede: give the key to this version. Otherwise, if another writer has published that
            key first, its version becomes ``current`` and is returned.

    If ``WARMSTART_SIGN_KEY`` is set, the package is signed before readers can see it.

    Raises:
        PackageError: the folder lacks files that a package needs.
        SigningKeyError: the key cannot be used; nothing is published.
        StoreError: the store cannot be written; ``current`` is as it was.
    """
    with readable_errors(store):
        package, content = _describe(staged, describe)
        version = _add_description(staged, package, content)
        with holding(store, package.name) as hold:
            first = None if supersede else store.find(package.name, package.key)
            if first is None or first.name == version or not hold(first.name):
                hold(version)
                put_in_place(store, staged, store.version_folder(package.name, version))
            else:
                version = first.name
            version = _make_current(store, package, version, None if supersede else hold)
    return store.version_folder(package.name, version)


def adopt(store: Store, staged: Path, model: str) -> Path:
    """Put a staged folder that is a verified package among a model's versions; return its folder.

    Nothing of its content decides where it goes, and it becomes neither ``current`` nor the version
    of a key. Its signature comes along, but it is not signed here, because it was prepared
    elsewhere. If the store has the version already, it is verified, and replaced if it is damaged.

    Raises:
        StoreError: the store cannot be written.
    """
    with readable_errors(store):
        _, version = reading.read_package(staged)
        folder = store.version_folder(model, version)
        put_in_place(store, staged, folder)
    return folder


def _add_description(staged: Path, package: Package, content: bytes) -> str:
    """Write the description and its signature; return the version."""
    (staged / PACKAGE_FILE).write_bytes(content)
    (staged / package.sums_file).write_bytes(codec.sums(package, content))
    if key := SIGN_KEY.read():
        signing.sign(staged, key)
    return codec.version_of(content)


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
    content = codec.encode(package)
    codec.decode(content)
    return package, content


def _seal(folder: Path, mode: int) -> None:
    """Set the modes, ``mode`` for folders, then sync everything to disk, the innermost first."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(root) / name
            path.chmod(FILE_MODE)
            fsync(path)
        Path(root).chmod(mode)
        fsync(Path(root))


def put_in_place(store: Store, staged: Path, target: Path) -> None:
    """Move a described folder to the place of its version, unless a whole one is there."""
    make_folder(target.parent)
    _seal(staged, folder_mode(target.parent))
    for attempt in range(RACES_WITH_GC):
        try:
            staged.rename(target)
            break
        except OSError:
            # A version's name is the digest of its content, so the target has the same bytes.
            if is_whole(target):
                _bring_signature(staged, target)
                _bring_measurements(staged, target)
                break
            if attempt == RACES_WITH_GC - 1 or (target.exists() and not target.is_dir()):
                raise
            # If the target is gone, a collector has taken it away: try again.
            with suppress(FileNotFoundError), stale_is_missing():
                _set_aside(store, staged, target)
                break
    fsync(target.parent)


def _set_aside(store: Store, staged: Path, target: Path) -> None:
    """Replace a damaged version by its staged copy, and leave the damaged one to gc.

    It is not deleted, because it may be this machine's memory that is damaged.

    Raises:
        FileNotFoundError: the version is gone.
    """
    aside = store.root / STAGING / f"damaged-{target.name}-{uuid.uuid4().hex[:12]}"
    exchange(staged, target, aside)
    os.utime(aside)
    log.warning("%s was damaged and is replaced; the damaged version is in %s", target, aside)


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


def _bring_measurements(staged: Path, target: Path) -> None:
    """Give an existing version the measurements of its staged copy: they are the newer ones."""
    for name in UNCOVERED:
        with suppress(OSError):
            (staged / name).replace(target / name)


def _make_current(
    store: Store, package: Package, version: str, hold: Callable[[str], bool] | None
) -> str:
    """Make a version ``current``, then give it its key; return the version that has the key now.

    ``hold`` keeps the version of another writer from gc; None if ``version`` supersedes that one.
    In this order, a publisher that dies between both leaves no key of what never was ``current``.
    """
    current, former = store.model_folder(package.name) / "current", store.current(package.name)
    swap_link(store, current, f"versions/{version}")
    try:
        owner = _claim_key(store, package, version, hold)
    except OSError:
        with suppress(OSError):
            _restore(store, current, version, former)
        raise
    if owner != version:
        swap_link(store, current, f"versions/{owner}")
    return owner


def _restore(store: Store, current: Path, version: str, former: str | None) -> None:
    """Let ``current`` name the former version again, unless another publisher has moved it."""
    if current.readlink().name == version:
        if former:
            swap_link(store, current, f"versions/{former}")
        else:
            current.unlink()


def _claim_key(
    store: Store, package: Package, version: str, hold: Callable[[str], bool] | None
) -> str:
    """Give ``version`` its key; if another writer was first, return theirs.

    The other version stays until gc removes it: a service may have pinned it meanwhile.
    """
    link = store.key_link(package.name, package.key)
    make_folder(link.parent)
    try:
        link.symlink_to(f"../versions/{version}")
    except FileExistsError:
        first = store.find(package.name, package.key)
        if hold and first and hold(first.name):
            return first.name
        swap_link(store, link, f"../versions/{version}")  # the key's version was removed
    fsync(link.parent)
    return version

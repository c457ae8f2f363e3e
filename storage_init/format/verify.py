"""Check a prepared model's files against its ``package.json``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from storage_init.base.cpus import usable_cpus
from storage_init.base.errors import VerificationError, WarmstartError
from storage_init.base.files import list_files
from storage_init.base.hashing import sha256_file
from storage_init.format.package import (
    MAX_SIGNATURE_BYTES,
    SIGNATURE_FILE,
    FileEntry,
    Package,
)
from storage_init.format.reading import read_package

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def verify(folder: Path) -> Package:
    """Read a package and check everything in its folder: sizes, digests, missing and extra files.

    Raises:
        PackageError: ``package.json`` cannot be read.
        VerificationError: a file differs from its description; the message names every one.
    """
    package, _ = read_package(folder)
    problems = check_files(folder, package.files) + extra_files(folder, package)
    if problems:
        raise VerificationError(str(folder), problems)
    return package


def is_whole(folder: Path) -> bool:
    """Return whether a folder holds a prepared model that verifies."""
    try:
        verify(folder)
    except WarmstartError:
        return False
    return True


def check_files(folder: Path, entries: Iterable[FileEntry], *, hashes: bool = True) -> list[str]:
    """Return the problems of these files in words; check sizes always, SHA-256 if ``hashes``."""
    # Largest first, so that the threads finish at about the same time.
    ordered = sorted(entries, key=lambda entry: -entry.size)
    with ThreadPoolExecutor(usable_cpus(), thread_name_prefix="verify") as pool:
        found = pool.map(lambda entry: _check_file(folder, entry, hashes), ordered)
        return sorted(problem for problem in found if problem)


def extra_files(folder: Path, package: Package) -> list[str]:
    """Return problems with files that are not listed, and with a signature that is too large.

    ``storage_init.format.signing`` checks the content of the signature.
    """
    unlisted = sorted(list_files(folder).difference(package.members))
    problems = [f"{path} is not listed" for path in unlisted]
    signature = folder / SIGNATURE_FILE
    if signature.is_file() and signature.stat().st_size > MAX_SIGNATURE_BYTES:
        problems.append(f"{SIGNATURE_FILE} is larger than {MAX_SIGNATURE_BYTES} bytes")
    return problems


def _check_file(folder: Path, entry: FileEntry, hashes: bool) -> str | None:
    path = folder / entry.path
    try:
        if not path.is_file():
            return f"{entry.path} is missing"
        size = path.stat().st_size
        if size != entry.size:
            return f"{entry.path} has {size} bytes, not {entry.size}"
        if hashes and (found := sha256_file(path)) != entry.sha256:
            return f"{entry.path} has sha256 {found[:12]}…, not {entry.sha256[:12]}…"
    except OSError as error:
        return f"{entry.path} cannot be read: {error.strerror}"
    return None

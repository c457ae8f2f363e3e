"""Fill one destination folder from one source, whole and verified or not at all."""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage_init import counters, signing, sources
from storage_init.errors import (
    PackageError,
    SourceError,
    StoreError,
    VerificationError,
    WarmstartError,
)
from storage_init.linking import link_files
from storage_init.logs import event, timed
from storage_init.package import is_package, read_package, read_signature
from storage_init.placing import PLACING, place
from storage_init.sources.names import shown
from storage_init.sources.selection import listed
from storage_init.sources.space import check_free
from storage_init.verify import check_files, is_whole, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage_init.cache import Cache
    from storage_init.package import Package

# Inside the destination: it is a mount point, and a rename does not cross file systems.
INCOMING = ".incoming"
WARM = "warm://"

log = logging.getLogger(__name__)


def initialize(uri: str, destination: Path, cache: Cache | None = None) -> None:
    """Bring ``uri`` to ``destination``, through the store if there is one; verified.

    Args:
        uri: a source, or ``warm://NAME[@VERSION]`` for what the store already has.
        destination: a folder; what an earlier call put there is replaced.
        cache: the store that pods share.

    Raises:
        WarmstartError: with what was wrong; the destination then holds none of the new files.
    """
    with _incoming(uri, destination) as incoming:
        if uri.startswith(WARM):
            _deliver(_warm_version(uri, cache), incoming, destination)
        elif cache is None:
            _fetch_directly(uri, incoming, destination)
        else:
            _fetch_through(cache, uri, incoming, destination)


def _fetch_directly(uri: str, incoming: Path, destination: Path) -> None:
    with timed(log, "fetched", uri=shown(uri)) as fields:
        source = sources.resolve(uri)
        sources.fetch(source, incoming, signing.admit)
        fields["revision"] = source.revision
    if is_package(incoming):
        _verify(incoming)
    else:
        event(log, "not a prepared model: it will be served as it is", uri=shown(uri))
    place(incoming, destination)


def _fetch_through(cache: Cache, uri: str, incoming: Path, destination: Path) -> None:
    source = sources.resolve(uri)
    cached = cache.obtain(source)
    counters.record(cache.store, cached.name, "hit" if cached.hit else "miss")
    event(log, "store hit" if cached.hit else "store miss, now filled", version=str(cached.folder))
    try:
        _deliver(cached.folder, incoming, destination, verified=not cached.hit)
    except (VerificationError, PackageError, FileNotFoundError) as error:
        if not cached.hit or is_whole(cached.folder):
            raise
        # The store's disk is at fault, or gc was quicker: fetch it anew, once.
        log.error("%s: fetching it again", error)
        cache.forget(cached.folder)
        shutil.rmtree(incoming, ignore_errors=True)
        _deliver(cache.obtain(source).folder, incoming, destination)


def _deliver(version: Path, incoming: Path, destination: Path, *, verified: bool = False) -> None:
    """Link a version's files, verify them where they will be read, and put them in place.

    ``verified``: this process has just verified the version; hard links are the same files.
    """
    package, digest = read_package(version)
    signing.admit(version, package=package)
    if _has_already(destination, digest, read_signature(version)):
        (destination / PLACING).unlink(missing_ok=True)  # killed when all but done
        event(log, "already there and whole", name=package.name, version=digest)
        return
    _check_space(package, version, destination)
    with timed(log, "linked", version=str(version)) as fields:
        incoming.mkdir(parents=True)
        methods = link_files(version, listed(version), incoming)
        fields["files"] = dict(methods)
    if not verified or set(methods) != {"hard link"}:
        _verify(incoming)
    place(incoming, destination)


def _verify(folder: Path) -> None:
    with timed(log, "verified") as fields:
        package = verify(folder)
        signing.admit(folder, package=package)
        size = sum(entry.size for entry in package.files)
        fields.update(name=package.name, files=len(package.files), bytes=size)


def _has_already(destination: Path, digest: str, signature: bytes | None) -> bool:
    """A container that restarts finds its volume as it left it."""
    try:
        package, version = read_package(destination)
        same = version == digest and read_signature(destination) == signature
    except WarmstartError:
        return False
    # Files of others beside it are no matter.
    return same and not check_files(destination, package.files)


def _warm_version(uri: str, cache: Cache | None) -> Path:
    if cache is None:
        raise StoreError(f"{uri} names a model of a store, but WARMSTART_STORE is not set")
    name, _, version = uri.removeprefix(WARM).partition("@")
    return cache.store.resolve(name, version or None)


def _check_space(package: Package, version: Path, destination: Path) -> None:
    """Where files must be copied, know before the first byte that they fit."""
    if version.stat().st_dev == destination.stat().st_dev:
        return
    check_free(sum(entry.size for entry in package.files), destination, package.name)


@contextmanager
def _incoming(uri: str, destination: Path) -> Iterator[Path]:
    """A folder below the destination that does not outlive the block."""
    incoming = destination / INCOMING
    try:
        destination.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(incoming, ignore_errors=True)
        yield incoming
    except OSError as error:
        raise SourceError(f"{shown(uri)} cannot be written to {destination}: {error}") from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)

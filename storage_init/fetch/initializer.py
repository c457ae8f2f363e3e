"""Fill one destination folder from one source, whole and verified or not at all."""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage_init.base.errors import (
    PackageError,
    SignatureError,
    SourceError,
    StoreError,
    UnreachableError,
    VerificationError,
)
from storage_init.base.logs import event, timed
from storage_init.base.uris import shown
from storage_init.fetch.delivery import Delivery, stage, verify_logged
from storage_init.fetch.placing import place
from storage_init.fetch.revision_check import RevisionCheck
from storage_init.format import signing
from storage_init.format.reading import is_package
from storage_init.format.verify import is_whole
from storage_init.store import counters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage_init.fetch.filling import Cache, Known
    from storage_init.format.package import Source

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
            stage(_warm_version(uri, cache), incoming, destination).finish()
        elif cache is None:
            _fetch_directly(uri, incoming, destination)
        else:
            _fetch_through(cache, uri, incoming, destination)


def _fetch_directly(uri: str, incoming: Path, destination: Path) -> None:
    from storage_init import sources
    from storage_init.fetch import preparing

    with timed(log, "fetched", uri=shown(uri)) as fields:
        source = sources.resolve(uri)
        preparing.bring(source, incoming, preparing.usable_weights(), signing.admit)
        fields["revision"] = source.revision
    if is_package(incoming):
        verify_logged(incoming)
    else:
        event(log, "not a prepared model: it will be served as it is", uri=shown(uri))
    place(incoming, destination)


def _fetch_through(cache: Cache, uri: str, incoming: Path, destination: Path) -> None:
    known = cache.recall(uri)
    if known is None:
        from storage_init import sources

        source = sources.resolve(uri)
        _deliver(cache, source, incoming, destination)
        cache.remember(uri, source)
    else:
        _fetch_known(cache, uri, known, incoming, destination)


def _fetch_known(cache: Cache, uri: str, known: Known, incoming: Path, destination: Path) -> None:
    """Stage what the URI last led to while asking whether it still does."""
    check = None if known.is_fresh else RevisionCheck(uri, patient=not cache.falls_back)
    delivery = _stage_if_whole(cache, known, incoming, destination)
    if check is None and delivery is None:
        check = RevisionCheck(uri, patient=True)
    source = _answer(check, known, fallback=cache.falls_back and delivery is not None)
    if delivery and cache.find(source) == known.folder:
        _record(cache, known.folder, hit=True)
        delivery.finish()
    else:
        shutil.rmtree(incoming, ignore_errors=True)
        _deliver(cache, source, incoming, destination)
    if source is not known.source:  # a server has said so
        cache.remember(uri, source)


def _answer(check: RevisionCheck | None, known: Known, *, fallback: bool) -> Source:
    if check is None:
        event(log, "revision asked for a moment ago", revision=known.source.revision)
        return known.source
    try:
        return check.answer()
    except UnreachableError as error:
        if not fallback:
            raise
        age = "unknown" if known.age is None else f"{known.age:.0f} s ago"
        log.warning(
            "%s: serving revision %s, which it had when last asked (%s)",
            *(error, known.source.revision, age),
        )
        return known.source


def _stage_if_whole(
    cache: Cache, known: Known, incoming: Path, destination: Path
) -> Delivery | None:
    """The known version staged; None, and out of the store, where that has gone bad.

    None, too, where it is not signed as asked: what the URI leads to now may be.
    """
    try:
        return stage(known.folder, incoming, destination)
    except SignatureError as error:
        log.warning("%s", error)
        return None
    except (VerificationError, PackageError, FileNotFoundError) as error:
        _forget_unless_whole(cache, known.folder, error)
        return None


def _deliver(cache: Cache, source: Source, incoming: Path, destination: Path) -> None:
    cached = cache.obtain(source)
    _record(cache, cached.folder, hit=cached.hit)
    try:
        stage(cached.folder, incoming, destination, verified=not cached.hit).finish()
    except (VerificationError, PackageError, FileNotFoundError) as error:
        if not cached.hit:
            raise
        _forget_unless_whole(cache, cached.folder, error)
        shutil.rmtree(incoming, ignore_errors=True)
        stage(cache.obtain(source).folder, incoming, destination).finish()


def _forget_unless_whole(cache: Cache, folder: Path, error: Exception) -> None:
    """The store's disk is at fault, or gc was quicker: take it out, to be fetched anew once."""
    if is_whole(folder):
        raise error
    log.error("%s: fetching it again", error)
    cache.forget(folder)


def _record(cache: Cache, folder: Path, *, hit: bool) -> None:
    counters.record(cache.store, folder.parent.parent.name, "hit" if hit else "miss")
    event(log, "store hit" if hit else "store miss, now filled", version=str(folder))


def _warm_version(uri: str, cache: Cache | None) -> Path:
    if cache is None:
        raise StoreError(f"{uri} names a model of a store, but WARMSTART_STORE is not set")
    name, _, version = uri.removeprefix(WARM).partition("@")
    return cache.store.resolve(name, version or None)


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

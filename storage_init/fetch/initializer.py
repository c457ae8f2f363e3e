"""Fill a destination folder from a source: all files, verified, or none."""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storage_init import sources
from storage_init.base.errors import (
    DigestError,
    PackageError,
    SignatureError,
    SourceError,
    StoreError,
    UnreachableError,
    VerificationError,
)
from storage_init.base.logs import event, timed
from storage_init.base.uris import shown
from storage_init.base.variables import VERIFICATION_DIGEST, VERIFICATION_MODE
from storage_init.fetch.admission import ANY, Admission
from storage_init.fetch.delivery import Delivery, stage, verify_logged
from storage_init.fetch.placing import place
from storage_init.fetch.revision_check import RevisionCheck
from storage_init.format.reading import is_package
from storage_init.store import counters
from storage_init.store.layout import is_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage_init.fetch.shared_store import KnownVersion, SharedStore
    from storage_init.format.package import Source

# Inside the destination: it is a mount point, and a rename does not cross file systems.
INCOMING = ".incoming"
WARM = "warm://"
WEB = ("https://", "http://")

log = logging.getLogger(__name__)


def initialize(uri: str, destination: Path, shared: SharedStore | None = None) -> None:
    """Bring ``uri`` to ``destination``, through the store if there is one, and verify it.

    Args:
        uri: a source, or ``warm://NAME[@VERSION]`` for a model of the store.
        destination: a folder; the new files replace those of an earlier call.
        shared: the store that pods share.

    Raises:
        WarmstartError: the destination then has none of the new files.
    """
    digest, mode = VERIFICATION_DIGEST.read(), VERIFICATION_MODE.read()
    try:
        pinned, admission = _expecting(uri, digest)
        _bring(pinned, destination, shared, admission)
    except DigestError as error:
        if mode == "enforce" or digest is None:
            raise
        log.warning("%s. Delivering it, because %s=warn", error, VERIFICATION_MODE.name)
        _bring(uri, destination, shared, ANY)


def _expecting(uri: str, digest: str | None) -> tuple[str, Admission]:
    """Return the URI and the conditions under which a model has the expected digest.

    A URL names one file, so the digest is its revision and is checked before it is unpacked.
    """
    if digest is None or not uri.lower().startswith(WEB):
        return uri, Admission(digest)
    url, _, pin = uri.partition("#")
    if pin not in ("", f"sha256={digest}"):
        raise DigestError(f"{shown(uri)} names another digest than the expected sha256:{digest}")
    return f"{url}#sha256={digest}", ANY


def _bring(uri: str, destination: Path, shared: SharedStore | None, admission: Admission) -> None:
    with _incoming(uri, destination) as incoming:
        if uri.startswith(WARM):
            stage(_warm_version(uri, shared), incoming, destination, admission).finish()
        elif shared is None:
            _fetch_directly(uri, incoming, destination, admission)
        else:
            sharing = replace(shared, admission=admission)
            _StoreFetch(uri, sharing, incoming, destination).run()


def _fetch_directly(uri: str, incoming: Path, destination: Path, admission: Admission) -> None:
    from storage_init.fetch import preparing

    with timed(log, "fetched", uri=shown(uri)) as fields:
        source = sources.resolve(uri)
        preparing.fetch(source, incoming, admission.admit)
        fields["revision"] = source.revision
    if is_package(incoming):
        verify_logged(incoming, admission)
    else:
        event(log, "not a prepared model: it will be served as it is", uri=shown(uri))
    place(incoming, destination)


@dataclass(frozen=True)
class _StoreFetch:
    """A fetch of ``uri`` through the store into ``destination``."""

    uri: str
    shared: SharedStore
    incoming: Path
    destination: Path

    def run(self) -> None:
        known = self.shared.recall(self.uri)
        if known is None:
            source = sources.resolve(self.uri)
            self._deliver(source)
        else:
            source = self._deliver_known(known)
        if known is None or source is not known.source:  # a server stated this revision
            self.shared.remember(self.uri, source)

    def _deliver_known(self, known: KnownVersion) -> Source:
        """Stage the known version while a thread asks for the present revision; deliver that."""
        falls_back = self.shared.falls_back
        check = None if known.is_fresh else RevisionCheck(self.uri, patient=not falls_back)
        delivery = self._stage_known(known)
        if check is None and delivery is None:
            check = RevisionCheck(self.uri, patient=True)
        source = _answer(check, known, fallback=falls_back and delivery is not None)
        if delivery and self.shared.find(source) == known.folder:
            self._record(known.folder, hit=True)
            delivery.finish()
        else:
            shutil.rmtree(self.incoming, ignore_errors=True)
            self._deliver(source)
        return source

    def _stage_known(self, known: KnownVersion) -> Delivery | None:
        """Stage the known version; return None if it is damaged or not admitted."""
        try:
            return self._stage(known.folder)
        except (DigestError, SignatureError) as error:  # the present revision may be admitted
            log.warning("%s", error)
        except (VerificationError, PackageError, FileNotFoundError) as error:
            log.error("%s: looking at it again", error)
        return None

    def _deliver(self, source: Source, damaged: Path | None = None) -> None:
        version = self.shared.obtain(source, damaged)
        if damaged is None:
            self._record(version.folder, hit=version.hit)
        try:
            self._stage(version.folder, verified=not version.hit).finish()
        except (VerificationError, PackageError, FileNotFoundError) as error:
            if damaged or not version.hit:
                raise
            log.error("%s: fetching it again", error)
            shutil.rmtree(self.incoming, ignore_errors=True)
            self._deliver(source, damaged=version.folder)

    def _stage(self, version: Path, *, verified: bool = False) -> Delivery:
        admission = self.shared.admission
        return stage(version, self.incoming, self.destination, admission, verified=verified)

    def _record(self, version: Path, *, hit: bool) -> None:
        name = version.parent.parent.name
        counters.record(self.shared.store, name, "hit" if hit else "miss")
        event(log, "store hit" if hit else "store miss, now filled", version=str(version))


def _answer(check: RevisionCheck | None, known: KnownVersion, *, fallback: bool) -> Source:
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


def _warm_version(uri: str, shared: SharedStore | None) -> Path:
    if shared is None:
        raise StoreError(f"{shown(uri)} names a model of a store, but WARMSTART_STORE is not set")
    name, _, version = uri.removeprefix(WARM).partition("@")
    if not is_model(name):
        raise StoreError(f"{shown(uri)} is not of the form warm://NAME[@VERSION]")
    return shared.store.resolve(name, version or None)


@contextmanager
def _incoming(uri: str, destination: Path) -> Iterator[Path]:
    """Yield a path below the destination for new files; remove it at the end of the block."""
    incoming = destination / INCOMING
    try:
        destination.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(incoming, ignore_errors=True)
        yield incoming
    except OSError as error:
        raise SourceError(f"{shown(uri)} cannot be written to {destination}: {error}") from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)

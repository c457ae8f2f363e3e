"""The store that pods share: the first pod fills it, the others read it.

``fetched/<key>`` links a source's revision to the version made from it, which is on the shelf of
the source's place. Key and shelf are made from the URI, the endpoint and the revision, never from
the model's content. A pod without that link takes the lease of the key and fills the store; the
others wait until the link is there.

An image that cannot export takes a repository's ONNX graph instead of its safetensors. A version
made from that graph has a key of its own, and only such images look for it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from storage_init.base.errors import (
    DigestError,
    NoSpaceError,
    PackageError,
    SignatureError,
    VerificationError,
    WarmstartError,
)
from storage_init.base.files import make_folder
from storage_init.base.logs import event, timed
from storage_init.base.places import label_of, place_of, shelf_of
from storage_init.base.uris import shown
from storage_init.base.variables import LEASE_SECONDS
from storage_init.fetch.admission import ANY, Admission
from storage_init.fetch.inheriting import changed, own_folder
from storage_init.format.package import PACKAGE_FILE, Source
from storage_init.format.reading import is_package
from storage_init.format.verify import is_whole, verify
from storage_init.store import resolutions
from storage_init.store.layout import (
    FETCHED,
    LEASES,
    Store,
    discard,
    readable_errors,
    swap_link,
)
from storage_init.store.lease import LeaseWatcher
from storage_init.store.publish import adopt

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.sources.transfer.selection import Weights

POLL_SECONDS = 0.2
# After these errors the next attempt cannot use the files; after others it continues with them.
UNUSABLE = (
    *(NoSpaceError, VerificationError, PackageError, DigestError, SignatureError),
    OSError,
)
# Links of an earlier format may lead to a version that another source had planted.
KEY_FORMAT = 2

log = logging.getLogger(__name__)


class StoredVersion(NamedTuple):
    """The folder of a version in the store; ``hit`` if this process did not have to make it."""

    folder: Path
    hit: bool


class KnownVersion(NamedTuple):
    """The last known revision of a URI, and the version that the store has of it.

    ``age``: seconds since a server stated the revision, or None. ``is_fresh``: whether the revision
    is young enough to use without asking the server.
    """

    source: Source
    folder: Path
    age: float | None
    is_fresh: bool


@dataclass(frozen=True)
class SharedStore:
    """A store, and how this pod shares it with others.

    Attributes:
        store: the store.
        poll_seconds: how often a waiting pod looks again.
        stale_seconds: how long the filling pod may be silent before another takes over.
        falls_back: whether to serve the last known version if a source does not answer.
        recheck_seconds: how long a revision counts as current without asking.
        admission: what a model must prove to be fetched.
    """

    store: Store
    poll_seconds: float = POLL_SECONDS
    stale_seconds: float = LEASE_SECONDS.default
    falls_back: bool = True
    recheck_seconds: float = 0.0
    admission: Admission = ANY

    def recall(self, uri: str) -> KnownVersion | None:
        """Return the last known version of a URI if the store still has it."""
        if resolution := resolutions.recall(self.store, uri):
            source = Source(uri=uri, revision=resolution.revision)
            if folder := self.find(source):
                fresh = resolution.is_younger_than(self.recheck_seconds)
                return KnownVersion(source, folder, resolution.age, fresh)
        return None

    def remember(self, uri: str, source: Source) -> None:
        """Record the revision that a server has just given for a URI. Never raises."""
        keys = [source_key(source), source_key(source, "onnx")]
        resolutions.remember(self.store, uri, source, keys)

    def obtain(self, source: Source, damaged: Path | None = None) -> StoredVersion:
        """Find the version made from a source, or make and verify it, or wait for another pod.

        ``damaged``: a version that failed verification. It is looked at once more when this pod has
        the lease, and it stays in its place until it is replaced.

        Raises:
            WarmstartError: the source cannot be fetched, verified, prepared or stored.
        """
        watcher = LeaseWatcher(self.store.root / LEASES, source_key(source), self.stale_seconds)
        waiting = False
        while True:
            folder = self.find(source)
            if folder and folder != damaged:
                return StoredVersion(folder, hit=True)
            with readable_errors(self.store):
                lease = watcher.try_acquire()
            if lease is None:
                if not waiting:
                    event(log, "another pod is fetching it: waiting", uri=shown(source.uri))
                waiting = True
                time.sleep(self.poll_seconds)
                watcher.look_again(self.store.root / FETCHED)
                continue
            with lease.held(lambda: self._progress(source)):
                try:
                    return self._fill(source, damaged)
                except (WarmstartError, OSError):
                    if lease.is_in_force:
                        raise
                    log.warning("another pod took over: waiting for it")

    def find(self, source: Source) -> Path | None:
        """Return the version made from a source if the store has all of it."""
        if folder := self._linked(source_key(source)):
            return folder
        from storage_init.fetch import preparing  # most hits do not need it

        if preparing.usable_weights() == "onnx":
            return self._linked(source_key(source, "onnx"))
        return None

    def _linked(self, key: str) -> Path | None:
        with suppress(OSError):
            folder = (self.store.root / FETCHED / key).resolve(strict=True)
            if (folder / PACKAGE_FILE).is_file():
                _note_use(folder)
                return folder
        return None

    def _fill(self, source: Source, damaged: Path | None) -> StoredVersion:
        # Another pod may have published or mended it between the last look and the lease.
        folder = self.find(source)
        if folder and (folder != damaged or is_whole(folder)):
            return StoredVersion(folder, hit=True)
        with readable_errors(self.store):
            folder, made_from = self._make(source)
            link = self.store.root / FETCHED / source_key(source, made_from)
            make_folder(link.parent)
            swap_link(self.store, link, f"../{folder.relative_to(self.store.root)}")
        return StoredVersion(folder, hit=False)

    def _make(self, source: Source) -> tuple[Path, Weights]:
        """Make a version; return it and "onnx" if a graph took the place of safetensors."""
        from storage_init.fetch import preparing

        staging = own_folder(self.store, source_key(source, preparing.usable_weights()))
        files = staging / "files"
        try:
            with timed(log, "fetched", uri=shown(source.uri), revision=source.revision):
                made_from = preparing.fetch(source, files, self.admission.admit_source)
            if is_package(files):
                verify(files)
        except UNUSABLE:
            discard(self.store, staging)
            raise
        try:
            made = files
            if not is_package(files):
                # A store of its own: what the pipeline publishes gets no name in this one.
                own, label = Store(staging / "store"), label_of(source.uri)
                made = preparing.prepare(source, files, label, own, made_from)
                verify(made)
            return adopt(self.store, made, shelf_of(source.uri)), made_from
        finally:
            discard(self.store, staging)

    def _progress(self, source: Source) -> float:
        """Return a value that changes while this source is fetched or prepared."""
        from storage_init.fetch import preparing

        return changed(self.store, source_key(source, preparing.usable_weights()))


def _note_use(folder: Path) -> None:
    """Make a version young, because gc keeps recently used versions."""
    try:
        os.utime(folder)
    except PermissionError:
        log.warning(
            "%s: its use cannot be noted, so gc may collect it: user %d may not write the folder. "
            "Give the pods of a store one fsGroup",
            *(folder, os.geteuid()),
        )
    except OSError:
        pass  # a store that is mounted read-only, or a collector that was faster


def source_key(source: Source, made_from: Weights = "safetensors") -> str:
    """Return the digest that names a source's revision in the store.

    ``made_from``: "onnx" if the version is made from a graph instead of safetensors.
    """
    mark = "" if made_from == "safetensors" else f"{made_from}\n"
    parts = f"{KEY_FORMAT}\n{place_of(source.uri)}\n{source.revision}\n{mark}"
    return hashlib.sha256(parts.encode()).hexdigest()

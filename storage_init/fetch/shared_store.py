"""The store that pods share: the first pod fills it, the others read it.

``fetched/<key>`` links a source's revision to the version made from it. A pod without that link
takes the lease of the key and fills the store; the others wait until the link is there.

An image that cannot export takes a repository's ONNX graph instead of its safetensors. A version
made from that graph has a key of its own, and only such images look for it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from storage_init.base.errors import (
    NoSpaceError,
    PackageError,
    SignatureError,
    VerificationError,
    WarmstartError,
)
from storage_init.base.logs import event, timed
from storage_init.base.uris import shown
from storage_init.base.variables import LEASE_SECONDS
from storage_init.format import signing
from storage_init.format.package import PACKAGE_FILE, Source
from storage_init.format.reading import is_package
from storage_init.format.verify import verify
from storage_init.store import resolutions
from storage_init.store.layout import STAGING, readable_errors
from storage_init.store.lease import Lease, LeaseWatcher
from storage_init.store.publish import adopt, discard, make_folder, swap_link

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.sources.transfer.selection import Weights
    from storage_init.store.layout import Store

FETCHED = "fetched"
LEASES = ".leases"
POLL_SECONDS = 0.2

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
    """

    store: Store
    poll_seconds: float = POLL_SECONDS
    stale_seconds: float = LEASE_SECONDS.default
    falls_back: bool = True
    recheck_seconds: float = 0.0

    def recall(self, uri: str) -> KnownVersion | None:
        """Return the last known version of a URI if the store still has it."""
        if resolution := resolutions.recall(self.store, uri):
            source = Source(uri=uri, revision=resolution.revision)
            if folder := self.find(source):
                fresh = resolution.is_younger_than(self.recheck_seconds)
                return KnownVersion(source, folder, resolution.age, fresh)
        return None

    def obtain(self, source: Source) -> StoredVersion:
        """Find the version made from a source, or make and verify it, or wait for another pod.

        Raises:
            WarmstartError: the source cannot be fetched, verified, prepared or stored.
        """
        watcher = LeaseWatcher(self.store.root / LEASES, source_key(source), self.stale_seconds)
        waiting = False
        while True:
            if folder := self.find(source):
                return StoredVersion(folder, hit=True)
            with readable_errors(self.store):
                lease = watcher.try_acquire()
            if lease is None:
                if not waiting:
                    event(log, "another pod is fetching it: waiting", uri=shown(source.uri))
                waiting = True
                time.sleep(self.poll_seconds)
                continue
            with lease.held():
                try:
                    return self._fill(source, lease)
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
                with suppress(OSError):  # garbage collection keeps recently used versions
                    os.utime(folder)
                return folder
        return None

    def _fill(self, source: Source, lease: Lease) -> StoredVersion:
        # Another pod may have published it between the last look and the lease.
        if folder := self.find(source):
            return StoredVersion(folder, hit=True)
        with readable_errors(self.store):
            folder, made_from = self._make(source, lease)
            link = self.store.root / FETCHED / source_key(source, made_from)
            make_folder(link.parent)
            swap_link(self.store, link, f"../{folder.relative_to(self.store.root)}")
        return StoredVersion(folder, hit=False)

    def _make(self, source: Source, lease: Lease) -> tuple[Path, Weights]:
        """Make a version; return it and "onnx" if a graph took the place of safetensors."""
        from storage_init.fetch import preparing

        staging = self._staging(source_key(source, preparing.usable_weights()), lease)
        try:
            with timed(log, "fetched", uri=shown(source.uri), revision=source.revision):
                made_from = preparing.fetch(source, staging, signing.admit_source)
            if is_package(staging):
                verify(staging)
                return adopt(self.store, staging), made_from
        except (NoSpaceError, VerificationError, PackageError, SignatureError, OSError):
            # The next attempt cannot use these files; after other errors it continues with them.
            discard(self.store, staging)
            raise
        try:
            folder = preparing.prepare(source, staging, model_name(source), self.store, made_from)
            verify(folder)
            return folder, made_from
        finally:
            discard(self.store, staging)

    def _staging(self, key: str, lease: Lease) -> Path:
        """Return this lease's folder, with the files that a dead predecessor fetched."""
        stem = f"fetch-{key[:16]}"
        mine = self.store.root / STAGING / f"{stem}.{lease.generation}"
        make_folder(mine.parent)
        for earlier in sorted(mine.parent.glob(f"{stem}.*"), key=lambda p: int(p.suffix[1:])):
            # The new name keeps the files from a predecessor that only slept.
            with suppress(OSError):
                earlier.rename(mine)
        return mine


def source_key(source: Source, made_from: Weights = "safetensors") -> str:
    """Return the digest that names a source's revision in the store.

    ``made_from``: "onnx" if the version is made from a graph instead of safetensors.
    """
    place = re.split(r"(?<=\w)[@#]", shown(source.uri))[0]
    mark = "" if made_from == "safetensors" else f"{made_from}\n"
    return hashlib.sha256(f"{place}\n{source.revision}\n{mark}".encode()).hexdigest()


def model_name(source: Source) -> str:
    """Return a name for a model without one: the end of its URI."""
    path = re.split(r"(?<=\w)[@#?]", source.uri.partition("://")[2])[0].rstrip("/")
    last = "--".join(path.split("/")[-2:])
    return re.sub(r"[^A-Za-z0-9._-]", "-", last).lstrip("._-") or "model"

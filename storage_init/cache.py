"""The cache: a store that pods fill together and read ever after.

``fetched/<key>`` links a source's revision to the version made from it. A pod that finds no link
takes the lease of that key and fills it; the others wait, and hit as soon as the link is there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init import packaging, signing, sources
from storage_init.errors import (
    NoSpaceError,
    PackageError,
    SignatureError,
    VerificationError,
    WarmstartError,
)
from storage_init.lease import STALE_SECONDS, Lease, LeaseWatcher
from storage_init.logs import event, timed
from storage_init.package import PACKAGE_FILE, is_package
from storage_init.publish import adopt, discard, make_folder, readable_errors, swap_link
from storage_init.sources.names import shown
from storage_init.store import STAGING
from storage_init.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.package import Source
    from storage_init.store import Store

FETCHED = "fetched"
LEASES = ".leases"
POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cached:
    """A version of the store, and whether it was there already."""

    folder: Path
    hit: bool

    @property
    def name(self) -> str:
        """The model's name in the store."""
        return self.folder.parent.parent.name


@dataclass(frozen=True)
class Cache:
    """``poll_seconds``: how often a pod that waits looks again; ``stale_seconds``: how long the
    one it waits for may be silent before its work is taken over."""

    store: Store
    poll_seconds: float = POLL_SECONDS
    stale_seconds: float = STALE_SECONDS

    def obtain(self, source: Source) -> Cached:
        """The version made from a source; if this process had to fetch it, it verified it, too.

        Raises:
            WarmstartError: it cannot be fetched, verified, packaged or stored.
        """
        watcher = LeaseWatcher(self.store.root / LEASES, cache_key(source), self.stale_seconds)
        waiting = False
        while True:
            if folder := self.find(source):
                return Cached(folder, hit=True)
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
                    return self._fill_once(source, lease)
                except (WarmstartError, OSError):
                    if lease.is_in_force:
                        raise
                    log.warning("another pod took over: waiting for it")

    def find(self, source: Source) -> Path | None:
        """The version made from a source, if the store has it whole."""
        link = self.store.root / FETCHED / cache_key(source)
        with suppress(OSError):
            folder = link.resolve(strict=True)
            if (folder / PACKAGE_FILE).is_file():
                with suppress(OSError):  # gc spares what was used of late
                    os.utime(folder)
                return folder
        return None

    def forget(self, folder: Path) -> None:
        """Take a version that failed verification out of the store."""
        discard(self.store, folder)

    def _fill_once(self, source: Source, lease: Lease) -> Cached:
        # It may have been published between the last look and the lease.
        if folder := self.find(source):
            return Cached(folder, hit=True)
        with readable_errors(self.store):
            folder = self._fill(source, self._staging(source, lease))
            link = self.store.root / FETCHED / cache_key(source)
            make_folder(link.parent)
            swap_link(self.store, link, f"../{folder.relative_to(self.store.root)}")
        return Cached(folder, hit=False)

    def _fill(self, source: Source, staging: Path) -> Path:
        try:
            with timed(log, "fetched", uri=shown(source.uri), revision=source.revision):
                sources.fetch(source, staging, signing.admit_source)
            if is_package(staging):
                verify(staging)
                return adopt(self.store, staging)
        except (NoSpaceError, VerificationError, PackageError, SignatureError, OSError):
            # After a broken connection the next attempt goes on from here; after these it cannot.
            discard(self.store, staging)
            raise
        try:
            folder = packaging.package(source, staging, model_name(source), self.store)
            verify(folder)
            return folder
        finally:
            discard(self.store, staging)

    def _staging(self, source: Source, lease: Lease) -> Path:
        """This generation's folder, with what a dead predecessor had already fetched."""
        stem = f"fetch-{cache_key(source)[:16]}"
        mine = self.store.root / STAGING / f"{stem}.{lease.generation}"
        make_folder(mine.parent)
        for earlier in sorted(mine.parent.glob(f"{stem}.*"), key=lambda p: int(p.suffix[1:])):
            # Away from the predecessor, should it only have been asleep.
            with suppress(OSError):
                earlier.rename(mine)
        return mine


def cache_key(source: Source) -> str:
    """What a source's revision is found by: the digest of both."""
    place = re.split(r"(?<=\w)[@#]", shown(source.uri))[0]
    return hashlib.sha256(f"{place}\n{source.revision}\n".encode()).hexdigest()


def model_name(source: Source) -> str:
    """A name for a model that has none of its own: the end of its URI."""
    path = re.split(r"(?<=\w)[@#?]", source.uri.partition("://")[2])[0].rstrip("/")
    last = "--".join(path.split("/")[-2:])
    return re.sub(r"[^A-Za-z0-9._-]", "-", last).lstrip("._-") or "model"

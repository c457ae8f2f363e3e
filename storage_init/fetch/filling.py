"""The cache: a store that pods fill together and read afterwards.

``fetched/<key>`` links a source's revision to the version made from it. A pod that finds no link
takes the lease of that key and fills it; the others wait, and hit as soon as the link is there.

An image that cannot export takes a repository's ONNX graph in the place of its safetensors. What
came of that has a key of its own, which only such images look for.
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
class Known:
    """What a URI was last resolved to, and the version that the store has of it.

    ``age`` is in seconds, None if it is not known; ``is_fresh``: young enough not to ask again.
    """

    source: Source
    folder: Path
    age: float | None
    is_fresh: bool


@dataclass(frozen=True)
class Cache:
    """``poll_seconds``: how often a pod that waits looks again; ``stale_seconds``: how long the
    one it waits for may be silent before its work is taken over.

    ``falls_back``: whether the last known version is served where a source does not answer;
    ``recheck_seconds``: how long a revision is taken for current without asking.
    """

    store: Store
    poll_seconds: float = POLL_SECONDS
    stale_seconds: float = LEASE_SECONDS.default
    falls_back: bool = True
    recheck_seconds: float = 0.0

    def recall(self, uri: str) -> Known | None:
        """What a URI last led to, if the store has it still."""
        resolution = resolutions.recall(self.store, uri)
        if resolution is None:
            return None
        source = Source(uri=uri, revision=resolution.revision)
        folder = self.find(source)
        if folder is None:
            return None
        fresh = resolution.is_younger_than(self.recheck_seconds)
        return Known(source, folder, resolution.age, fresh)

    def remember(self, uri: str, source: Source) -> None:
        """Note what a server has just resolved a URI to."""
        resolutions.remember(self.store, uri, source)

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
        folder = self._linked(cache_key(source))
        if folder is None and _usable_weights() == "onnx":
            folder = self._linked(cache_key(source, "onnx"))
        return folder

    def _linked(self, key: str) -> Path | None:
        with suppress(OSError):
            folder = (self.store.root / FETCHED / key).resolve(strict=True)
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
            folder, made_from = self._fill(source, lease)
            link = self.store.root / FETCHED / cache_key(source, made_from)
            make_folder(link.parent)
            swap_link(self.store, link, f"../{folder.relative_to(self.store.root)}")
        return Cached(folder, hit=False)

    def _fill(self, source: Source, lease: Lease) -> tuple[Path, Weights]:
        """A new version, and what it was made from where an image that can export has a choice."""
        from storage_init.fetch import preparing

        weights = preparing.usable_weights()
        staging = self._staging(cache_key(source, weights), lease)
        made_from: Weights = "safetensors"
        try:
            with timed(log, "fetched", uri=shown(source.uri), revision=source.revision):
                if preparing.bring(source, staging, weights, signing.admit_source):
                    made_from = "onnx"
            if is_package(staging):
                verify(staging)
                return adopt(self.store, staging), made_from
        except (NoSpaceError, VerificationError, PackageError, SignatureError, OSError):
            # After a broken connection the next attempt goes on from here; after these it cannot.
            discard(self.store, staging)
            raise
        try:
            folder = preparing.prepare(source, staging, model_name(source), self.store, made_from)
            verify(folder)
            return folder, made_from
        finally:
            discard(self.store, staging)

    def _staging(self, key: str, lease: Lease) -> Path:
        """This generation's folder, with what a dead predecessor had already fetched."""
        stem = f"fetch-{key[:16]}"
        mine = self.store.root / STAGING / f"{stem}.{lease.generation}"
        make_folder(mine.parent)
        for earlier in sorted(mine.parent.glob(f"{stem}.*"), key=lambda p: int(p.suffix[1:])):
            # Away from the predecessor, should it only have been asleep.
            with suppress(OSError):
                earlier.rename(mine)
        return mine


def cache_key(source: Source, made_from: Weights = "safetensors") -> str:
    """What a source's revision is found by: the digest of both.

    ``made_from``: "onnx" where a graph stood in for safetensors.
    """
    place = re.split(r"(?<=\w)[@#]", shown(source.uri))[0]
    mark = "" if made_from == "safetensors" else f"{made_from}\n"
    return hashlib.sha256(f"{place}\n{source.revision}\n{mark}".encode()).hexdigest()


def _usable_weights() -> Weights:
    from storage_init.fetch import preparing  # not needed for a hit, as a rule

    return preparing.usable_weights()


def model_name(source: Source) -> str:
    """A name for a model that has none of its own: the end of its URI."""
    path = re.split(r"(?<=\w)[@#?]", source.uri.partition("://")[2])[0].rstrip("/")
    last = "--".join(path.split("/")[-2:])
    return re.sub(r"[^A-Za-z0-9._-]", "-", last).lstrip("._-") or "model"

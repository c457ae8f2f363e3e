"""The revision that each URI was last resolved to, remembered in the store.

``resolved/<digest of the URI>`` has the revision. Its modification time, by the clock of the
store's file system, is when a server gave that answer. A lost or unreadable record only makes the
next pod ask the server, and a version is verified wherever it is used.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from storage_init.base.files import children, make_folder
from storage_init.base.places import endpoints
from storage_init.base.uris import shown
from storage_init.store.layout import FETCHED, STAGING, clock_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from storage_init.format.package import Source
    from storage_init.store.layout import Store

RESOLVED = "resolved"


class _Record(msgspec.Struct, frozen=True):
    """``keys`` are the links in ``fetched/`` that the revision may have."""

    uri: str
    revision: str
    keys: list[str] = []


@dataclass(frozen=True)
class Resolution:
    """A URI's last known revision; ``age`` is in seconds, None if the clock cannot be read."""

    revision: str
    age: float | None

    def is_younger_than(self, seconds: float) -> bool:
        """Return whether it is young; False for a time in the future, if a clock was set back."""
        return self.age is not None and 0 <= self.age < seconds


def recall(store: Store, uri: str) -> Resolution | None:
    """Return the revision that a URI was last resolved to, or None if it is not known."""
    path = _path(store, uri)
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Record)
        changed = path.stat().st_mtime
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return Resolution(record.revision, _age(store, changed))


def remember(store: Store, uri: str, source: Source, keys: Sequence[str] = ()) -> None:
    """Record the revision that a server has just given. Never raises: a store may be read-only.

    Skip URIs with credentials or signed queries, because they change on every start.
    """
    if shown(uri) != uri:
        return
    path, draft = _path(store, uri), store.root / STAGING / f"resolved-{os.urandom(6).hex()}"
    with suppress(OSError):
        make_folder(path.parent)
        make_folder(draft.parent)
        draft.write_bytes(msgspec.json.encode(_Record(uri, source.revision, [*keys])))
        draft.replace(path)


def useless(store: Store, going: Collection[Path] = ()) -> list[Path]:
    """Return the records of revisions that no version was made from, or whose links are going."""
    links = {Path(entry.path) for entry in children(store.root / FETCHED)} - {*going}
    known = {link.name for link in links}
    records = [Path(entry.path) for entry in children(store.root / RESOLVED)]
    return [path for path in records if not known.intersection(_keys(path))]


def _keys(path: Path) -> list[str]:
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(path.read_bytes(), type=_Record).keys
    return []


def _age(store: Store, changed: float) -> float | None:
    with suppress(OSError):
        return clock_of(store.root / STAGING) - changed
    return None


def _path(store: Store, uri: str) -> Path:
    identity = "\n".join([uri, *endpoints()])
    return store.root / RESOLVED / f"{hashlib.sha256(identity.encode()).hexdigest()}.json"

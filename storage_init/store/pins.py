"""Pins: versions that a service is pointed at, which gc keeps whatever their age.

``models/<name>/pins/<owner>`` is a relative link to a version. An owner is a service that was
rolled out to the version, such as ``team-a.sentiment`` for the namespace and the service.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base.errors import StoreError
from storage_init.base.files import children, make_folder
from storage_init.store.layout import STAGING, swap_link

if TYPE_CHECKING:
    from storage_init.store.layout import Store

OWNER = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def pin(store: Store, name: str, version: str, owner: str) -> None:
    """Keep ``version`` of a model for ``owner``, instead of the version that it had pinned.

    Raises:
        StoreError: the store has no such version, or it cannot be written.
    """
    if not OWNER.fullmatch(owner):
        raise StoreError(f"{owner!r} cannot own a pin: use lower-case letters, digits, '.' and '-'")
    folder = store.resolve(name, version)
    link = _pins(store, name) / owner
    try:
        make_folder(link.parent)
        make_folder(store.root / STAGING)
        swap_link(store, link, f"../versions/{folder.name}")
    except OSError as error:
        raise StoreError(
            f"{link} cannot be written, so gc could delete version {version} while {owner} serves "
            f"it: mount the store for writing ({error.strerror})"
        ) from error
    # gc may have decided just before the link was there.
    store.resolve(name, version)


def unpin(store: Store, name: str, owner: str) -> None:
    """Leave the version that ``owner`` has pinned to gc; nothing happens if there is none."""
    (_pins(store, name) / owner).unlink(missing_ok=True)


def owners(store: Store, name: str, version: str) -> list[str]:
    """Return the services that have pinned a version."""
    return [
        entry.name
        for entry in children(_pins(store, name))
        if entry.is_symlink() and Path(entry.path).readlink().name == version
    ]


def _pins(store: Store, name: str) -> Path:
    return store.model_folder(name) / "pins"

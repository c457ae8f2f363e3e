"""Pins: versions that gc keeps whatever their age, for a service or during a publication.

``models/<name>/pins/<owner>`` is a relative link to a version. An owner is a service that was
rolled out to the version, such as ``team-a.sentiment`` for the namespace and the service. A
publication pins each version that it may make ``current``, under a name that starts with a dot.

gc takes a version out of its place and then looks for pins; whoever pins one makes the link and
then looks for the version. So one of both sees the other.
"""

from __future__ import annotations

import re
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base.errors import StoreError
from storage_init.base.files import children, make_folder
from storage_init.format.package import PACKAGE_FILE
from storage_init.store.layout import STAGING, swap_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storage_init.store.layout import Store

PUBLISHING = ".publishing-"
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
    found = []
    for entry in children(_pins(store, name)):
        with suppress(OSError):  # no link, or removed meanwhile
            if Path(entry.path).readlink().name == version:
                found.append(entry.name)
    return found


@contextmanager
def holding(store: Store, name: str) -> Iterator[Callable[[str], bool]]:
    """Yield a function that keeps a version from gc until the block ends.

    It returns whether the version is there now: if it is, it stays.
    """
    links = []

    def hold(version: str) -> bool:
        link = _pins(store, name) / f"{PUBLISHING}{uuid.uuid4().hex[:12]}"
        make_folder(link.parent)
        link.symlink_to(f"../versions/{version}")
        links.append(link)
        return (store.version_folder(name, version) / PACKAGE_FILE).is_file()

    try:
        yield hold
    finally:
        for link in links:
            # One that cannot be removed goes with the next collection.
            with suppress(OSError):
                link.unlink()


def left_behind(store: Store, name: str) -> list[Path]:
    """Return the pins of publications; an old one is of a publication that was killed."""
    found = [Path(entry.path) for entry in children(_pins(store, name))]
    return [path for path in found if path.name.startswith(PUBLISHING)]


def _pins(store: Store, name: str) -> Path:
    return store.model_folder(name) / "pins"

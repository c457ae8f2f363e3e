"""Where models come from: a URI is resolved to a fixed revision, then fetched at it.

One module a kind of source; ``SCHEMES`` is the whole list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_init.errors import SourceError
from storage_init.sources import hub, local

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from storage_init.package import Source

SCHEMES: dict[str, ModuleType] = {"hf": hub, "file": local}


def resolve(uri: str) -> Source:
    """Pin a URI to the revision it has now: a commit, or the digest of a folder's content.

    Raises:
        SourceError: an unknown scheme, a malformed URI, or nothing there.
    """
    source: Source = _module(uri).resolve(uri)
    return source


def fetch(source: Source, destination: Path) -> None:
    """Bring the files of a resolved source into a folder, which is created.

    Raises:
        SourceError: the source is gone, changed since, or has no usable weights.
    """
    destination.mkdir(parents=True, exist_ok=True)
    _module(source.uri).fetch(source, destination)


def _module(uri: str) -> ModuleType:
    scheme, separator, _ = uri.partition("://")
    if not separator or scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise SourceError(f"{uri} is not a source this build can read (it reads {known})")
    return SCHEMES[scheme]

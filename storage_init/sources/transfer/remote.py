"""What a kind of source tells the rest of the program: its files, and how to bring them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from storage_init.base.hashing import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from storage_init.format.package import Source


@dataclass(frozen=True)
class RemoteFile:
    """A file of a source at its pinned revision.

    ``path`` is where it belongs below the destination, ``size`` is in bytes. ``tag`` changes with
    the content (an ETag, a generation). ``digest`` is ``sha256:…``, ``md5:…`` or ``git:…`` (the
    SHA-1 of a git blob) in hex where the server vouches for one, else empty. ``ranges``: whether
    it can be read from any byte. ``name`` is what the transport calls it, if not by its path.
    """

    path: str
    size: int
    tag: str = ""
    digest: str = ""
    ranges: bool = True
    name: str = ""


def _nothing(_: Path) -> None:
    """The revision pins every byte by itself: there is nothing to check afterwards."""


@dataclass(frozen=True)
class Remote:
    """A source at its pinned revision, ready to be read.

    ``download`` brings files into a folder; one has its name there only when it is whole, and a
    second call goes on where the first broke off, as far as the transport can. ``check`` is called
    with that folder when all have arrived and raises SourceError where the source has changed.
    """

    files: Sequence[RemoteFile]
    download: Callable[[Sequence[RemoteFile], Path], None]
    check: Callable[[Path], None] = _nothing


class Scheme(Protocol):
    """A kind of source."""

    def resolve(self, uri: str, /) -> Source:
        """Pin a URI to the revision it has now."""

    def connect(self, source: Source, /) -> Remote:
        """List a source at its revision; SourceError where it has changed since."""


def listing_digest(files: Iterable[RemoteFile]) -> str:
    """Hex SHA-256 of a listing: of each file's path, size and tag."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.path):
        digest.update(f"{file.size} {file.tag}  {file.path}\n".encode())
    return digest.hexdigest()


def has_digest(path: Path, expected: str) -> bool:
    """Whether a file's content has a digest of :class:`RemoteFile`'s form."""
    algorithm, _, want = expected.partition(":")
    found = hashlib.new("sha1" if algorithm == "git" else algorithm, usedforsecurity=False)
    if algorithm == "git":
        found.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest() == want

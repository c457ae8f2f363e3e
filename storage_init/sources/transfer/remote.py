"""The interface of all kinds of sources: their files, and how to download them."""

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

    Attributes:
        path: where the file goes below the destination.
        size: its bytes.
        tag: changes with the content (an ETag, a generation).
        digest: ``sha256:…``, ``md5:…`` or ``git:…`` (the SHA-1 of a git blob) in hex; empty if the
            server states none.
        ranges: whether the server sends parts of the file.
        name: the transport's name for the file, if that is not its path.
    """

    path: str
    size: int
    tag: str = ""
    digest: str = ""
    ranges: bool = True
    name: str = ""


def _nothing(_: Path) -> None:
    """Check nothing: the revision pins every byte."""


@dataclass(frozen=True)
class Remote:
    """A source at its pinned revision, ready to be read.

    ``download`` puts files into a folder. A file gets its name there when it is whole, and a second
    call continues where the first stopped, if the transport can. ``check`` gets that folder when
    all files have arrived, and raises SourceError if the source has changed.
    """

    files: Sequence[RemoteFile]
    download: Callable[[Sequence[RemoteFile], Path], None]
    check: Callable[[Path], None] = _nothing


class Scheme(Protocol):
    """A kind of source."""

    def resolve(self, uri: str, /) -> Source:
        """Pin a URI to the revision it has now."""

    def connect(self, source: Source, /) -> Remote:
        """List a source at its revision; raise SourceError if it has changed since."""


def listing_digest(files: Iterable[RemoteFile]) -> str:
    """Return the hex SHA-256 of each file's path, size and tag."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.path):
        digest.update(f"{file.size} {file.tag}  {file.path}\n".encode())
    return digest.hexdigest()


def has_digest(path: Path, expected: str) -> bool:
    """Return whether a file's content has this digest, in the form of :class:`RemoteFile`."""
    algorithm, _, want = expected.partition(":")
    found = hashlib.new("sha1" if algorithm == "git" else algorithm, usedforsecurity=False)
    if algorithm == "git":
        found.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest() == want

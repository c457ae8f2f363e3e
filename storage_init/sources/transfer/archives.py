"""Unpack archives of models without trusting their names, sizes or kinds of members.

This module writes the files itself, because links have escaped tarfile's data filter
(CVE-2025-4517) and the filter has no limits. It refuses all links: no model needs one.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from storage_init.base import space
from storage_init.base.errors import SourceError, WarmstartError
from storage_init.base.hashing import CHUNK_BYTES
from storage_init.base.uris import check_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from storage_init.sources.transfer.remote import RemoteFile

ENDINGS = (".tar", ".tar.gz", ".tgz", ".zip")
# tarfile reads a whole header into memory, whatever size it claims.
MAX_HEADER_BYTES = 4 << 20
# The exceptions of tarfile and zipfile for damaged and hostile archives.
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError),
    *(ValueError, RuntimeError, NotImplementedError, KeyError, IndexError, OverflowError),
)


def is_archive(files: Sequence[RemoteFile]) -> bool:
    """Return whether a source is a single archive."""
    return len(files) == 1 and files[0].path.endswith(ENDINGS)


def extract(archive: Path, folder: Path, where: str) -> Path:
    """Unpack an archive into a new folder; return the folder of its model.

    If the archive holds one top-level folder and nothing else, that is the model's folder.

    Raises:
        SourceError: the file is not an archive, or its content is unsafe, too large or damaged.
    """
    folder.mkdir(parents=True)
    writer = _Writer(folder, where)
    with _readable_errors(where):
        if archive.name.endswith(".zip"):
            _unzip(archive, writer)
        else:
            _untar(archive, writer)
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder


class _Writer:
    """Writes files and folders below ``folder``, within the limits on number and size."""

    def __init__(self, folder: Path, where: str) -> None:
        self.folder = folder
        self.where = where
        self.entries = 0
        self.bytes = 0

    def admit(self, name: str, size: int) -> str:
        """Check a member and its claimed size; return its path."""
        path = name.removeprefix("./").rstrip("/")
        self.entries += 1
        space.check_count(self.entries, self.where)
        space.check_size(self.bytes + size, self.where)
        space.check_free(size, self.folder, self.where)
        if path not in ("", "."):
            check_names([path], self.where)
        return path

    def make_folder(self, name: str) -> None:
        path = self.admit(name, 0)
        (self.folder / path).mkdir(parents=True, exist_ok=True)

    def write(self, name: str, size: int, content: IO[bytes]) -> None:
        """Write a member, up to its claimed size."""
        path = self.admit(name, size)
        target = self.folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while chunk := content.read(CHUNK_BYTES):
                    self.bytes += len(chunk)
                    size -= len(chunk)
                    if size < 0:
                        raise SourceError(
                            f"{self.where} is refused: {path!r} is larger than it claims"
                        )
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise SourceError(f"{self.where} is refused: it holds {path!r} twice") from error
        if size:
            raise SourceError(f"{self.where} is not whole: {path!r} lacks {size} bytes")


def _untar(archive: Path, writer: _Writer) -> None:
    zipped = not archive.name.endswith(".tar")
    with archive.open("rb") as raw:
        content = gzip.GzipFile(fileobj=raw) if zipped else raw
        bounded = _Bounded(content)  # type: ignore[arg-type]
        with tarfile.open(fileobj=bounded, mode="r:", encoding="utf-8") as tar:  # type: ignore[call-overload]
            for member in tar:
                _write_member(tar, member, writer)


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, writer: _Writer) -> None:
    if member.isdir():
        writer.make_folder(member.name)
        return
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        kind = "link" if member.issym() or member.islnk() else "device or another special file"
        raise SourceError(f"{writer.where} is refused: its member {member.name!r} is a {kind}")
    with content:
        writer.write(member.name, member.size, content)


def _unzip(archive: Path, writer: _Writer) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if member.is_dir():
                writer.make_folder(member.filename)
                continue
            if member.external_attr >> 16 & 0o170000 == 0o120000:
                raise SourceError(
                    f"{writer.where} is refused: its member {member.filename!r} is a link"
                )
            with file.open(member) as content:
                writer.write(member.filename, member.file_size, content)


class _Bounded:
    """A stream that refuses reads larger than a normal tar header."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.stream.read(size)


@contextmanager
def _readable_errors(where: str) -> Iterator[None]:
    try:
        yield
    except WarmstartError:
        raise
    except _UNREADABLE as error:
        raise SourceError(f"{where} is not a whole archive: {error}") from error

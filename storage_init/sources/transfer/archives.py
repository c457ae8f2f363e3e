"""Archives of models: taken apart without trusting a single thing they say about themselves.

Only files and folders come out of one, written here and not by tarfile: its filter for data has
been fooled by what an archive's links add up to (CVE-2025-4517), and it limits nothing. A link is
refused even where it stays inside; no model needs one.
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
# tarfile holds a header in memory as a whole, however large it claims to be.
MAX_HEADER_BYTES = 4 << 20
# What tarfile and zipfile raise for archives that are not what they seem.
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError),
    *(ValueError, RuntimeError, NotImplementedError, KeyError, IndexError, OverflowError),
)


def is_archive(files: Sequence[RemoteFile]) -> bool:
    """Whether a source is one archive and nothing else."""
    return len(files) == 1 and files[0].path.endswith(ENDINGS)


def extract(archive: Path, folder: Path, where: str) -> Path:
    """Take an archive apart below a new folder; the folder of its model.

    That is the one folder which everything in it lies below, if there is one.

    Raises:
        SourceError: not an archive, or one that escapes, explodes or does not fit.
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
    """Files and folders below ``folder``, as long as there are neither too many nor too large."""

    def __init__(self, folder: Path, where: str) -> None:
        self.folder = folder
        self.where = where
        self.entries = 0
        self.bytes = 0

    def admit(self, name: str, size: int) -> str:
        """A member's checked path; ``size`` is what it claims to have."""
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
        """Write a member; ``size`` is what it claims to have, and no more is taken."""
        path = self.admit(name, size)
        target = self.folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while chunk := content.read(CHUNK_BYTES):
                    self.bytes += len(chunk)
                    size -= len(chunk)
                    if size < 0:
                        raise SourceError(f"{self.where} is refused: {path!r} explodes")
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise SourceError(f"{self.where} is refused: {path!r} is in it twice") from error
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
        raise SourceError(f"{writer.where} is refused: {member.name!r} in it is a {kind}")
    with content:
        writer.write(member.name, member.size, content)


def _unzip(archive: Path, writer: _Writer) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if member.is_dir():
                writer.make_folder(member.filename)
                continue
            if member.external_attr >> 16 & 0o170000 == 0o120000:
                raise SourceError(f"{writer.where} is refused: {member.filename!r} in it is a link")
            with file.open(member) as content:
                writer.write(member.filename, member.file_size, content)


class _Bounded:
    """A stream that never gives more at once than a decent tar header needs."""

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

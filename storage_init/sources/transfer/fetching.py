"""Fetch a source with any transport: select, download with retries, resume and check.

All files arrive in a folder below the destination that is named for the revision. A fetch that
stops leaves that folder to the next one. Files move to their places when all of them are whole.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from storage_init.base import space
from storage_init.base.errors import DigestError, SourceError, WarmstartError
from storage_init.base.files import list_files
from storage_init.base.uris import WORK, check_names, check_no_clash, shown
from storage_init.format.package import DIGEST_FILE, MAX_SIGNATURE_BYTES, PACKAGE_FILE, SUMS_FILE
from storage_init.format.reading import read_package
from storage_init.sources.transfer import archives
from storage_init.sources.transfer.failures import explained, retrying
from storage_init.sources.transfer.progress import reported
from storage_init.sources.transfer.remote import has_digest
from storage_init.sources.transfer.selection import (
    descriptions,
    is_substitute,
    is_weights,
    needed,
    select,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from storage_init.format.package import Source
    from storage_init.sources.transfer.remote import Remote, RemoteFile
    from storage_init.sources.transfer.selection import Weights

# Called with a folder and a name for it; raises to refuse the content.
Admit = Callable[[Path, str], None]
# Called with a folder that has all needed files but the weights, and with the paths of all files.
Inspect = Callable[[Path, "Sequence[str]"], None]


def fetch(
    source: Source,
    remote: Remote,
    destination: Path,
    admit: Admit | None = None,
    weights: Weights = "safetensors",
    inspect: Inspect | None = None,
) -> bool:
    """Download the needed files of ``remote``: see :func:`storage_init.sources.fetch`."""
    where = shown(source.uri)
    space.check_count(len(remote.files), where)
    check_names((file.path for file in remote.files), where)
    work = _workspace(source, destination)
    download = _Download(remote, work, where, inspect)
    if archives.is_archive(remote.files):
        folder, chosen = download.archive(admit, weights)
        paths = list_files(folder)
    else:
        folder, paths = work, {file.path for file in remote.files}
        chosen = download.files(destination, admit, weights)
    with explained(where):
        remote.check(work)
    _move(chosen, folder, destination)
    shutil.rmtree(destination / WORK)
    return is_substitute(paths, chosen)


def size(remote: Remote, where: str, weights: Weights) -> int:
    """Return the bytes that :func:`fetch` downloads into an empty folder.

    Raises:
        WarmstartError: the listing shows that a fetch would fail.
    """
    by_path = {file.path: file.size for file in remote.files}
    if archives.is_archive(remote.files) or descriptions(by_path):
        return sum(by_path.values())
    return sum(by_path[path] for path in select(by_path, where, weights))


class Listing(NamedTuple):
    """The paths of a source's files, and the bytes of those that a fetch needs."""

    paths: list[str]
    needed: dict[str, int]


def describe(remote: Remote, folder: Path, where: str, weights: Weights) -> Listing:
    """Download what :func:`fetch` would, but for the weights, and list the source.

    Of an archive nothing is downloaded, and its only path is its own.

    Raises:
        WarmstartError: the listing shows that a fetch would fail.
    """
    by_path = {file.path: file for file in remote.files}
    check_names(by_path, where)
    if archives.is_archive(remote.files):
        chosen = [*by_path]
    else:
        chosen = descriptions(by_path) or select(by_path, where, weights)
        download = _Download(remote, folder, where)
        download.bring([by_path[path] for path in chosen if not is_weights(path)])
    return Listing(sorted(by_path), {path: by_path[path].size for path in chosen})


@dataclass(frozen=True)
class _Download:
    """The download of a source into ``work``; errors call the source ``where``."""

    remote: Remote
    work: Path
    where: str
    inspect: Inspect | None = None

    def files(self, destination: Path, admit: Admit | None, weights: Weights) -> list[str]:
        """Download the needed files and return their paths."""
        by_path = {file.path: file for file in self.remote.files}
        described = [by_path[path] for path in descriptions(by_path)]
        for file in described:
            if file.size > MAX_SIGNATURE_BYTES:
                raise SourceError(
                    f"{self.where} is refused: its {file.path} is larger than "
                    f"{MAX_SIGNATURE_BYTES} bytes"
                )
        self.bring(described)
        if admit:
            admit(self.work, self.where)
        chosen = needed(by_path, self.work, self.where, weights)
        check_no_clash(chosen, self.where)
        files = [by_path[path] for path in chosen]
        if described:
            package, _ = read_package(self.work)
            digests = {entry.path: f"sha256:{entry.sha256}" for entry in package.files}
        else:
            digests = {file.path: file.digest for file in files if file.digest}
        self._take_over(files, digests, destination)
        if self.inspect:
            self.bring([file for file in files if not is_weights(file.path)])
            self.inspect(self.work, sorted(by_path))
        self.bring(files)
        if not described:  # a prepared model's readers verify it
            self._check_digests(digests)
        return chosen

    def archive(self, admit: Admit | None, weights: Weights) -> tuple[Path, list[str]]:
        """Download and unpack an archive; return its folder and the paths of the needed files."""
        (archive,) = self.remote.files
        self.bring([archive])
        if archive.digest:
            self._check_digests({archive.path: archive.digest})
        unpacked = self.work / ".unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        try:
            folder = archives.extract(self.work / archive.path, unpacked, self.where)
            if admit:
                admit(folder, self.where)
            chosen = needed(list_files(folder), folder, self.where, weights)
            if self.inspect:
                self.inspect(folder, sorted(list_files(folder)))
            return folder, chosen
        except WarmstartError:  # a retry with the same archive fails, too
            shutil.rmtree(self.work.parent)
            raise

    def bring(self, files: Sequence[RemoteFile]) -> None:
        """Download the files that are not whole yet, with retries."""

        def missing() -> list[RemoteFile]:
            return [file for file in files if not _is_whole(file, self.work)]

        def attempt() -> None:
            if wanted := missing():
                self.remote.download(wanted, self.work)

        for file in files:
            if file.size == 0:  # not every transport creates empty files
                (self.work / file.path).parent.mkdir(parents=True, exist_ok=True)
                (self.work / file.path).touch()
        if not missing():
            return
        total = sum(file.size for file in files)
        space.check_size(total, self.where)
        space.check_free(total - space.used_bytes(self.work), self.work, self.where)
        with reported(self.work, total, self.where), explained(self.where):
            retrying(attempt, self.where, lambda: space.used_bytes(self.work))
        if wanted := missing():
            raise SourceError(
                f"{self.where} is not as it was listed: {wanted[0].path} does not have "
                f"{wanted[0].size} bytes. Start again"
            )

    def _take_over(
        self, files: Iterable[RemoteFile], digests: Mapping[str, str], destination: Path
    ) -> None:
        """Move files of an earlier fetch into ``work`` if they have the digests of the new ones."""
        for file in files:
            path, digest = destination / file.path, digests.get(file.path)
            if (
                digest
                and not _is_whole(file, self.work)
                and _is_whole(file, destination)
                and not path.is_symlink()
                and has_digest(path, digest)
            ):
                _move([file.path], destination, self.work)

    def _check_digests(self, digests: Mapping[str, str]) -> None:
        for path, expected in digests.items():
            if not has_digest(self.work / path, expected):
                (self.work / path).unlink()
                raise DigestError(
                    f"{self.where}: {path} does not have the digest {expected}. Start "
                    "again; if that fails, too, the source is corrupt"
                )


def _is_whole(file: RemoteFile, folder: Path) -> bool:
    path = folder / file.path
    return path.is_file() and path.stat().st_size == file.size


def _move(paths: Iterable[str], folder: Path, destination: Path) -> None:
    """Rename files into another folder, ``package.json`` last: it makes a prepared model whole."""
    last = (DIGEST_FILE, SUMS_FILE, PACKAGE_FILE)
    for path in sorted(paths, key=lambda p: (p in last, p == PACKAGE_FILE)):
        (destination / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).replace(destination / path)


def _workspace(source: Source, destination: Path) -> Path:
    """Create the folder in which this revision arrives; remove those of other revisions."""
    name = hashlib.sha256(f"{source.revision} {source.uri}".encode()).hexdigest()[:16]
    work = destination / WORK / name
    work.mkdir(parents=True, exist_ok=True)
    for other in work.parent.iterdir():
        if other != work:
            shutil.rmtree(other)
    return work

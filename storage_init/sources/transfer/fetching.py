"""What surrounds every transport: names, selection, room, retries, progress, resuming, checks.

Everything arrives in a folder of its own below the destination, named for the revision. A fetch
that breaks off leaves it there for the next one; files move to where they belong when all are
whole.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from storage_init.base import space
from storage_init.base.errors import SourceError, WarmstartError
from storage_init.base.files import list_files
from storage_init.base.uris import WORK, check_names, check_no_clash, shown
from storage_init.format.package import DIGEST_FILE, MAX_SIGNATURE_BYTES, PACKAGE_FILE
from storage_init.format.reading import read_package
from storage_init.sources.transfer import archives
from storage_init.sources.transfer.failures import explained, retrying
from storage_init.sources.transfer.progress import reported
from storage_init.sources.transfer.remote import has_digest
from storage_init.sources.transfer.selection import descriptions, is_substitute, needed, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage_init.format.package import Source
    from storage_init.sources.transfer.remote import Remote, RemoteFile
    from storage_init.sources.transfer.selection import Weights

# Given a folder and what to call it, raises if what lies there may not come in.
Admit = Callable[[Path, str], None]


def fetch(
    source: Source,
    connect: Callable[[Source], Remote],
    destination: Path,
    admit: Admit | None = None,
    weights: Weights = "safetensors",
) -> bool:
    """Bring the needed files of a source into a folder; ``connect`` opens its transport.

    ``admit``: as in :func:`storage_init.sources.fetch`.

    Returns:
        Whether a graph was taken though there are safetensors (``weights="onnx"``).

    Raises:
        WarmstartError: what was wrong; a second call goes on from there.
    """
    where = shown(source.uri)
    with explained(where):
        remote = retrying(lambda: connect(source), where)
    space.check_count(len(remote.files), where)
    check_names((file.path for file in remote.files), where)
    work = _workspace(source, destination)
    if archives.is_archive(remote.files):
        folder, chosen = _fetch_archive(remote, work, where, admit, weights)
        paths = list_files(folder)
    else:
        folder, paths = work, {file.path for file in remote.files}
        chosen = _fetch_files(remote, work, destination, where, admit, weights)
    with explained(where):
        remote.check(work)
    _move(chosen, folder, destination)
    shutil.rmtree(destination / WORK)
    return is_substitute(paths, chosen)


def size(source: Source, connect: Callable[[Source], Remote], weights: Weights) -> int:
    """The bytes that :func:`fetch` brings if nothing is there; nothing is written.

    Raises:
        WarmstartError: as far as the listing shows that a fetch would fail.
    """
    where = shown(source.uri)
    with explained(where):
        remote = retrying(lambda: connect(source), where)
    by_path = {file.path: file.size for file in remote.files}
    if archives.is_archive(remote.files) or descriptions(by_path):
        return sum(by_path.values())
    return sum(by_path[path] for path in select(by_path, where, weights))


def _fetch_files(
    remote: Remote, work: Path, destination: Path, where: str, admit: Admit | None, weights: Weights
) -> list[str]:
    """Bring the needed files into ``work``; their paths."""
    by_path = {file.path: file for file in remote.files}
    described = descriptions(by_path)
    _check_description([by_path[path] for path in described], where)
    _bring([by_path[path] for path in described], remote, work, where)
    if admit:
        admit(work, where)
    chosen = needed(by_path, work, where, weights)
    check_no_clash(chosen, where)
    files = [by_path[path] for path in chosen]
    # A prepared model is verified against its own description, by whoever reads it.
    known = _digests(work) if described else {f.path: f.digest for f in files if f.digest}
    _adopt([file for file in files if not _is_whole(file, work)], known, destination, work)
    _bring(files, remote, work, where)
    if not described:
        _check_digests(known, work, where)
    return chosen


def _fetch_archive(
    remote: Remote, work: Path, where: str, admit: Admit | None, weights: Weights
) -> tuple[Path, list[str]]:
    """Bring an archive and take it apart; the folder with its content, and what of it is needed."""
    (archive,) = remote.files
    _bring([archive], remote, work, where)
    if archive.digest:
        _check_digests({archive.path: archive.digest}, work, where)
    unpacked = work / ".unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        folder = archives.extract(work / archive.path, unpacked, where)
        if admit:
            admit(folder, where)
        return folder, needed(list_files(folder), folder, where, weights)
    except WarmstartError:  # it will not become better by being kept
        shutil.rmtree(work.parent)
        raise


def _check_description(files: Iterable[RemoteFile], where: str) -> None:
    """Refuse a description or signature that is not read for its size, before it is fetched."""
    for file in files:
        if file.size > MAX_SIGNATURE_BYTES:
            raise SourceError(
                f"{where} is refused: its {file.path} is larger than {MAX_SIGNATURE_BYTES} bytes"
            )


def _bring(files: Sequence[RemoteFile], remote: Remote, work: Path, where: str) -> None:
    """Download what is not whole yet, as often as it takes."""

    def missing() -> list[RemoteFile]:
        return [file for file in files if not _is_whole(file, work)]

    def attempt() -> None:
        if wanted := missing():
            remote.download(wanted, work)

    for file in files:
        if file.size == 0:  # not every transport brings these
            (work / file.path).parent.mkdir(parents=True, exist_ok=True)
            (work / file.path).touch()
    if not missing():
        return
    total = sum(file.size for file in files)
    space.check_size(total, where)
    space.check_free(total - space.used_bytes(work), work, where)
    with reported(work, total, where), explained(where):
        retrying(attempt, where, lambda: space.used_bytes(work))
    if wanted := missing():
        raise SourceError(
            f"{where} is not as it was listed: {wanted[0].path} does not have {wanted[0].size} "
            "bytes. Start again"
        )


def _is_whole(file: RemoteFile, work: Path) -> bool:
    path = work / file.path
    return path.is_file() and path.stat().st_size == file.size


def _digests(folder: Path) -> dict[str, str]:
    package, _ = read_package(folder)
    return {entry.path: f"sha256:{entry.sha256}" for entry in package.files}


def _adopt(
    files: Iterable[RemoteFile], known: dict[str, str], destination: Path, work: Path
) -> None:
    """Take over what an earlier fetch has brought, where its content proves that it is the same."""
    for file in files:
        path = destination / file.path
        candidate = file.path in known and _is_whole(file, destination) and not path.is_symlink()
        if candidate and has_digest(path, known[file.path]):
            _move([file.path], destination, work)


def _check_digests(known: dict[str, str], work: Path, where: str) -> None:
    for path, expected in known.items():
        if not has_digest(work / path, expected):
            (work / path).unlink()
            raise SourceError(
                f"{where}: {path} arrived with another content than {expected}. Start again; if "
                "it stays so, the source is corrupt"
            )


def _move(paths: Iterable[str], folder: Path, destination: Path) -> None:
    """Rename files into another folder; what makes a folder a prepared model comes last."""
    last = (DIGEST_FILE, PACKAGE_FILE)
    for path in sorted(paths, key=lambda p: (p in last, p == PACKAGE_FILE)):
        (destination / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).replace(destination / path)


def _workspace(source: Source, destination: Path) -> Path:
    """The folder in which this revision arrives; those of others are removed."""
    name = hashlib.sha256(f"{source.revision} {source.uri}".encode()).hexdigest()[:16]
    work = destination / WORK / name
    work.mkdir(parents=True, exist_ok=True)
    for other in work.parent.iterdir():
        if other != work:
            shutil.rmtree(other)
    return work

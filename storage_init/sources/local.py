"""``file:///path``: a local folder; its revision is the digest of the needed files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from storage_init.base.errors import SourceError
from storage_init.base.files import list_files
from storage_init.base.hashing import sha256_files
from storage_init.base.uris import shown
from storage_init.format.package import Source
from storage_init.sources.transfer.remote import Remote, RemoteFile
from storage_init.sources.transfer.selection import needed

if TYPE_CHECKING:
    from collections.abc import Sequence


def resolve(uri: str) -> Source:
    folder = folder_of(uri)
    return Source(uri=folder.as_uri(), revision=revision(folder, uri))


def connect(source: Source) -> Remote:
    return open_folder(folder_of(source.uri), source)


def open_folder(folder: Path, source: Source) -> Remote:
    """List a folder; after the copy, check that its needed files still have the revision."""
    files = [
        RemoteFile(path=path, size=(folder / path).stat().st_size)
        for path in _files(folder)
        if (folder / path).is_file()
    ]

    def download(chosen: Sequence[RemoteFile], destination: Path) -> None:
        for file in chosen:
            target = destination / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            # A folder of KServe's initializer holds links to its cache: copy the content.
            draft = target.with_name(f".{target.name}.draft")
            shutil.copyfile(folder / file.path, draft)
            draft.replace(target)

    def check(destination: Path) -> None:
        if not _is_of_revision(destination, folder, source):
            shutil.rmtree(destination)
            raise SourceError(f"{folder} changed while it was being copied: start again")

    return Remote(files, download, check)


def revision(folder: Path, where: str) -> str:
    """Return the digest of a folder's needed files, with both kinds of weights.

    Raises:
        WarmstartError: the folder has no usable weights.
    """
    paths = _files(folder)
    either = (needed(paths, folder, shown(where), weights) for weights in ("safetensors", "onnx"))
    every = set().union(*either)
    for path in sorted(every):
        if not (folder / path).exists():
            target = (folder / path).readlink()
            raise SourceError(f"{folder / path} is a link to {target}, which is not there")
    return sha256_files(folder, every)


def _is_of_revision(copy: Path, folder: Path, source: Source) -> bool:
    """Return whether a copy of a folder's needed files has the revision of the source."""
    arrived = needed(_files(copy), copy, shown(source.uri))
    digest = sha256_files(copy, arrived)
    if digest == source.revision:
        return True
    # The folder has other weights, too: compare the copy with it, then its own revision.
    return (
        set(arrived) < set(_files(folder))
        and digest == sha256_files(folder, arrived)
        and revision(folder, source.uri) == source.revision
    )


def check_folder(folder: Path, uri: str) -> Path:
    """Return ``folder`` if this process can read it.

    Raises:
        SourceError: there is no such folder, or this process may not read it.
    """
    if not folder.is_dir():
        hint = f", but a file: name its folder {folder.parent}" if folder.is_file() else ""
        raise SourceError(f"{shown(uri)}: there is no folder {folder}{hint}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise SourceError(f"{shown(uri)}: this process may not read {folder}")
    return folder


def _files(folder: Path) -> list[str]:
    """Return the files and the links to files, also links that lead nowhere."""
    paths = sorted(list_files(folder))
    return [p for p in paths if (folder / p).is_file() or not (folder / p).exists()]


def folder_of(uri: str) -> Path:
    """Return the folder that a URI names.

    Raises:
        SourceError: its path is not absolute, or this process cannot read it.
    """
    folder = Path(unquote(uri.removeprefix("file://")))
    if not folder.is_absolute():
        raise SourceError(f"{shown(uri)}: a file:// source is an absolute path, file:///folder")
    return check_folder(folder, uri)

"""``file:///path``: a folder that this process sees.

The revision of a folder is the digest of the needed files' names and content.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import unquote

from storage_init.errors import SourceError
from storage_init.hashing import sha256_files
from storage_init.package import Source, is_package
from storage_init.sources.selection import listed, select
from storage_init.verify import list_files


def resolve(uri: str) -> Source:
    folder = _folder(uri)
    return Source(uri=folder.as_uri(), revision=_digest(folder))


def fetch(source: Source, destination: Path) -> None:
    folder = _folder(source.uri)
    for path in _needed(folder):
        target = destination / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # KServe's initializer leaves links to its download cache; the content is what counts.
        shutil.copyfile(folder / path, target)
    if _digest(destination) != source.revision:
        raise SourceError(f"{folder} changed while it was being copied: start again")


def _needed(folder: Path) -> list[str]:
    if not is_package(folder):
        return select(list_files(folder), str(folder))
    # What is missing is left to verification, which names everything at once.
    return [path for path in listed(folder) if (folder / path).exists()]


def _digest(folder: Path) -> str:
    return sha256_files(folder, _needed(folder))


def _folder(uri: str) -> Path:
    folder = Path(unquote(uri.removeprefix("file://")))
    if not folder.is_absolute():
        raise SourceError(f"{uri}: a file:// source is an absolute path, file:///folder")
    if not folder.is_dir():
        raise SourceError(f"{uri}: there is no folder {folder}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise SourceError(f"{uri}: {folder} may not be read")
    return folder

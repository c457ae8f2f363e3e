"""``pvc://claim/path``: a folder of a volume that is mounted at ``WARMSTART_PVC_DIR``.

Jobs and the pipeline use this; for a predictor KServe mounts the claim without an initializer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from storage_init.base import variables
from storage_init.base.errors import SourceError
from storage_init.base.files import list_files
from storage_init.base.uris import name_problem, shown
from storage_init.format.package import Source
from storage_init.sources import local

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.sources.transfer.remote import Remote

URI = re.compile(r"pvc://(?P<claim>[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(?:/(?P<path>.*))?")


def resolve(uri: str) -> Source:
    return Source(uri=uri, revision=local.revision(_folder(uri), uri))


def connect(source: Source) -> Remote:
    return local.open_folder(_folder(source.uri), source)


def _folder(uri: str) -> Path:
    match = URI.fullmatch(uri)
    path = (match["path"] or "").rstrip("/") if match else "\\"
    if path and name_problem(path):
        raise SourceError(f"{shown(uri)} is not of the form pvc://claim/path")
    mount = variables.PVC_DIR.read().resolve()
    folder = local.check_folder(mount / path, uri)
    # Other pods write to the volume: a link must not lead to this pod's secrets.
    for each in (folder, *(folder / found for found in sorted(list_files(folder)))):
        if not each.resolve().is_relative_to(mount):
            raise SourceError(f"{shown(uri)} is refused: {each} is a link that leaves the volume")
    return folder

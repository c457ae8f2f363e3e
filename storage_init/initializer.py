"""Fill one destination folder from one source, whole and verified or not at all."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

from storage_init import sources
from storage_init.errors import PackageError, SourceError, VerificationError
from storage_init.logs import event, timed
from storage_init.package import DIGEST_FILE, PACKAGE_FILE, is_package, read_package
from storage_init.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

# Inside the destination: it is a mount point, and a rename does not cross file systems.
INCOMING = ".incoming"

log = logging.getLogger(__name__)


def initialize(uri: str, destination: Path) -> None:
    """Fetch ``uri`` into ``destination``; a prepared model is verified first.

    ``package.json`` arrives last, so a reader never takes a folder for a whole package too early.

    Raises:
        WarmstartError: with what was wrong; the destination then holds none of the new files.
    """
    incoming = destination / INCOMING
    try:
        shutil.rmtree(incoming, ignore_errors=True)
        with timed(log, "fetched", uri=uri) as fields:
            source = sources.resolve(uri)
            sources.fetch(source, incoming)
            fields["revision"] = source.revision
        if is_package(incoming):
            with timed(log, "verified", uri=uri) as fields:
                package = verify(incoming)
                fields.update(name=package.name, files=len(package.files))
        else:
            event(log, "not a prepared model: it will be served as it is", uri=uri)
        _move_in(incoming, destination)
    except OSError as error:
        raise SourceError(f"{uri} cannot be written to {destination}: {error}") from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _move_in(incoming: Path, destination: Path) -> None:
    last = (DIGEST_FILE, PACKAGE_FILE)
    _remove_package(destination)
    entries = sorted(incoming.iterdir(), key=lambda e: (e.name in last, e.name == PACKAGE_FILE))
    for entry in entries:
        target = destination / entry.name
        if target.is_dir():
            shutil.rmtree(target)
        entry.replace(target)


def _remove_package(folder: Path) -> None:
    """Take an older prepared model away, its description first."""
    try:
        package, _ = read_package(folder)
    except (PackageError, VerificationError):
        listed = []
    else:
        listed = [entry.path for entry in package.files]
    for path in (PACKAGE_FILE, DIGEST_FILE, *listed):
        (folder / path).unlink(missing_ok=True)

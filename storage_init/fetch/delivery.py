"""Deliver a version of the store to a destination in two steps: stage its files, show them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.errors import WarmstartError
from storage_init.base.files import link_files, stale_is_missing
from storage_init.base.logs import event, timed
from storage_init.base.space import check_free
from storage_init.fetch.admission import ANY, Admission
from storage_init.fetch.placing import PLACING, place
from storage_init.format.reading import listed, read_package, read_signature
from storage_init.format.verify import check_files, verify

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.package import Package

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """A verified version in ``incoming``, or one that the destination already has."""

    version: Path
    incoming: Path
    destination: Path

    def finish(self) -> None:
        """Show the version to readers."""
        if self.incoming.exists():
            place(self.incoming, self.destination)
        else:
            (self.destination / PLACING).unlink(
                missing_ok=True
            )  # an earlier run was killed just before its end
            event(log, "already there and whole", version=self.version.name)


@stale_is_missing()
def stage(
    version: Path,
    incoming: Path,
    destination: Path,
    admission: Admission = ANY,
    *,
    verified: bool = False,
) -> Delivery:
    """Link a version's files to ``incoming`` and verify them there, where readers will read them.

    ``verified``: this process has just verified the version, so its hard links need no check.

    Raises:
        WarmstartError: the files are damaged, are not admitted or do not fit.
        OSError: the version is gone, or the destination cannot be written.
    """
    delivery = Delivery(version, incoming, destination)
    package, digest = admission.read(version)
    if _has_already(destination, digest, read_signature(version)):
        return delivery
    _check_space(package, version, destination)
    with timed(log, "linked", version=str(version)) as fields:
        incoming.mkdir(parents=True)
        methods = link_files(version, listed(version), incoming)
        fields["files"] = dict(methods)
    if not verified or set(methods) != {"hard link"}:
        verify_logged(incoming, admission)
    return delivery


def verify_logged(folder: Path, admission: Admission = ANY) -> None:
    """Verify a folder's files, digest and signature, and log it."""
    with timed(log, "verified") as fields:
        package, _ = admission.read(folder)
        verify(folder)
        size = sum(entry.size for entry in package.files)
        fields.update(name=package.name, files=len(package.files), bytes=size)


def _has_already(destination: Path, digest: str, signature: bytes | None) -> bool:
    """Return whether the destination has this version: a restarted container keeps its volume."""
    try:
        package, version = read_package(destination)
        same = version == digest and read_signature(destination) == signature
    except WarmstartError:
        return False
    # Other files beside it do no harm.
    return same and not check_files(destination, package.files)


def _check_space(package: Package, version: Path, destination: Path) -> None:
    """Check that the files fit before the first byte if the destination is another file system."""
    if version.stat().st_dev == destination.stat().st_dev:
        return
    check_free(sum(entry.size for entry in package.files), destination, package.name)

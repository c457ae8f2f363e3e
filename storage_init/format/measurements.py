"""``measurements.json``: times and memory of a package's variants on the host that prepared it.

They differ from run to run, so the version does not cover them, nor does a signature. A reader
chooses the fastest variant by them. It serves without them, too: every variant has passed its
gates, and ``package.json`` lists the variants in the order in which to prefer them then.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from storage_init.base.errors import PackageError
from storage_init.format.package import (
    MAX_PACKAGE_BYTES,
    MEASUREMENTS_FILE,
    PACKAGE_FILE,
    Count,
    Package,
)
from storage_init.format.reading import read_file

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class Speed(Struct, frozen=True):
    """Mean milliseconds per text on one thread, over texts of several lengths.

    For ``alone_ms`` every text runs by itself; for ``batched_ms``, ``batch`` texts of one length
    run together.
    """

    alone_ms: Annotated[float, Meta(gt=0)]
    batched_ms: Annotated[float, Meta(gt=0)]
    batch: Annotated[int, Meta(ge=1)]


class ShapeTime(Struct, frozen=True):
    """Median milliseconds per text for a batch of ``texts`` of ``tokens`` tokens, on one thread."""

    tokens: int
    texts: int
    ms: float


class Memory(Struct, frozen=True):
    """Bytes above an idle process: ``private`` memory, and ``shared`` memory mapped from files."""

    private: Count
    shared: Count


class VariantMeasurements(Struct, frozen=True):
    """What was measured of one variant; ``memory`` is null where it could not be measured."""

    speed: Speed
    times: list[ShapeTime] = []
    memory: Memory | None = None


class StepMeasurements(Struct, frozen=True):
    """A step of the preparation, with its time, its peak memory, and what it said."""

    step: str
    seconds: float
    peak_bytes: Count
    detail: str = ""


class Measurements(Struct, frozen=True, kw_only=True):
    """Of one preparation of one package, on a host with ``cpus`` CPUs of the model ``cpu``.

    ``package`` is the SHA-256 of the ``package.json``, ``prepared`` the time in RFC 3339.
    """

    package: str = ""
    prepared: str = ""
    cpu: str = ""
    cpus: Count = 0
    variants: dict[str, VariantMeasurements] = {}
    steps: list[StepMeasurements] = []

    def speed(self, variant: str) -> Speed | None:
        """Return a variant's speed, None if it was not measured."""
        return self.variants[variant].speed if variant in self.variants else None


class _OldSpeed(Speed, frozen=True):
    cpu: str


class _OldVariant(Struct, frozen=True):
    name: str
    speed: _OldSpeed


class _OldPackage(Struct, frozen=True):
    """The part of a ``package.json`` in format 2 that was measured."""

    variants: list[_OldVariant]


NOTHING = Measurements()
# Created at import, in one thread: msgspec crashes if two threads use a type first together.
_MEASUREMENTS = msgspec.json.Decoder(Measurements)
_OLD_PACKAGES = msgspec.json.Decoder(_OldPackage)


def encode(measurements: Measurements) -> bytes:
    """Return the content of ``measurements.json``."""
    return msgspec.json.format(msgspec.json.encode(measurements), indent=2) + b"\n"


def read(folder: Path, package: Package, version: str) -> Measurements:
    """Return what was measured of the package in a folder; ``NOTHING`` if that cannot be used.

    Damaged measurements are logged; those of another package count as damaged. Never raises.
    """
    old = package.format_version == 2
    path = folder / (PACKAGE_FILE if old else MEASUREMENTS_FILE)
    try:
        if not path.is_file():
            return NOTHING
        content = read_file(path, MAX_PACKAGE_BYTES)
        found = _from_format_2(content) if old else _MEASUREMENTS.decode(content)
    except (OSError, PackageError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        log.warning("%s is ignored, and variants are preferred in their order: %s", path, error)
        return NOTHING
    if not old and found.package != version:
        log.warning("%s is ignored: it is of package %s, not %s", path, found.package, version)
        return NOTHING
    return found


def _from_format_2(content: bytes) -> Measurements:
    old = _OLD_PACKAGES.decode(content).variants
    variants = {
        each.name: VariantMeasurements(
            Speed(each.speed.alone_ms, each.speed.batched_ms, each.speed.batch)
        )
        for each in old
    }
    return Measurements(cpu=old[0].speed.cpu if old else "", variants=variants)

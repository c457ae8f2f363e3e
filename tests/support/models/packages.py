"""Damage a prepared model, and make its description fit the damage."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import msgspec

from storage_init.format import codec, measurements
from storage_init.format.measurements import (
    NOTHING,
    Measurements,
    Speed,
    VariantMeasurements,
)
from storage_init.format.package import MEASUREMENTS_FILE, PACKAGE_FILE, SUMS_FILE
from storage_init.format.reading import read_package
from storage_init.store.publish import describe_files

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.package import Package


def writable_copy(package: Path, target: Path) -> Path:
    """Return a copy of a published version that may be changed."""
    shutil.copytree(package, target, copy_function=shutil.copyfile)
    return target


def flip_byte(path: Path, position: int = 0) -> None:
    """Invert one byte of a file in place."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def describe_again(folder: Path, **changes: Any) -> None:
    """Write ``package.json`` for the present files, with other fields too, and its digest."""
    package, version = read_package(folder)
    write_description(folder, package, measurements.read(folder, package, version), **changes)


def write_description(
    folder: Path, package: Package, measured: Measurements = NOTHING, **changes: Any
) -> None:
    """Describe a folder's present files as those of a changed ``package``."""
    for name in (PACKAGE_FILE, SUMS_FILE, MEASUREMENTS_FILE):
        (folder / name).unlink(missing_ok=True)
    package = msgspec.structs.replace(package, files=describe_files(folder), **changes)
    content = codec.encode(package)
    (folder / PACKAGE_FILE).write_bytes(content)
    (folder / SUMS_FILE).write_bytes(codec.sums(package, content))
    measured = msgspec.structs.replace(measured, package=codec.digest(content))
    (folder / MEASUREMENTS_FILE).write_bytes(measurements.encode(measured))


def speeds(**milliseconds: float) -> Measurements:
    """Measurements of variants that take so long a text alone, and half as long in a batch."""
    return Measurements(
        variants={
            name: VariantMeasurements(Speed(alone_ms=ms, batched_ms=ms / 2, batch=16))
            for name, ms in milliseconds.items()
        }
    )

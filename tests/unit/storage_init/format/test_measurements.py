"""Measurements are read where they are whole, and never stand in the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from storage_init.format import measurements
from storage_init.format.measurements import (
    NOTHING,
    Measurements,
    Memory,
    Speed,
    VariantMeasurements,
)
from storage_init.format.package import MEASUREMENTS_FILE
from storage_init.format.reading import read_package
from storage_init.format.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEED = Speed(alone_ms=1.5, batched_ms=1.0, batch=16)


@pytest.fixture
def measured(published: Path) -> Measurements:
    """Those of the published version, in its folder."""
    found = Measurements(
        package=published.name,
        cpu="a CPU",
        cpus=4,
        variants={"fp32": VariantMeasurements(SPEED, memory=Memory(1, 2))},
    )
    (published / MEASUREMENTS_FILE).write_bytes(measurements.encode(found))
    return found


def test_measurements_are_read_back_and_are_not_part_of_the_version(
    published: Path, measured: Measurements
) -> None:
    package, version = read_package(published)
    assert measurements.read(published, package, version) == measured
    assert (measured.speed("fp32"), measured.speed("int8")) == (SPEED, None)
    assert verify(published) == package


def _of_another(path: Path) -> None:
    found = msgspec.json.decode(path.read_bytes(), type=Measurements)
    path.write_bytes(measurements.encode(msgspec.structs.replace(found, package="0" * 64)))


def _deep(path: Path) -> None:
    path.write_bytes(b'{"a":' + b"[" * 100_000)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"{"),
        lambda path: path.write_bytes(b"\xff"),
        lambda path: path.write_bytes(b'{"variants": {"fp32": {"speed": {"alone_ms": -1}}}}'),
        lambda path: os.truncate(path, 1 << 40),
        lambda path: (path.unlink(), path.mkdir()),
        _pipe,
        _deep,
        _of_another,
    ],
)
def test_missing_and_damaged_measurements_are_nothing(
    published: Path, measured: Measurements, damage: Callable[[Path], object]
) -> None:
    assert measured != NOTHING
    damage(published / MEASUREMENTS_FILE)
    assert measurements.read(published, *read_package(published)) == NOTHING

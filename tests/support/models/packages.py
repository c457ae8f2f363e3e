"""Damage a prepared model, and make its description fit the damage."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import msgspec

from storage_init.format import package as packages
from storage_init.format.package import DIGEST_FILE, PACKAGE_FILE
from storage_init.format.reading import read_package
from storage_init.store.publish import describe_files

if TYPE_CHECKING:
    from pathlib import Path


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
    package, _ = read_package(folder)
    for name in (PACKAGE_FILE, DIGEST_FILE):
        (folder / name).unlink()
    changed = msgspec.structs.replace(package, files=describe_files(folder), **changes)
    content = packages.encode(changed)
    (folder / PACKAGE_FILE).write_bytes(content)
    (folder / DIGEST_FILE).write_bytes(packages.digest_line(content))

"""Verify and sign the versions in a store."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.errors import PackageError, SignatureError, StoreError, VerificationError
from storage_init.base.files import fsync
from storage_init.format.codec import version_of
from storage_init.format.package import SIGNATURE_FILE
from storage_init.format.reading import read_description
from storage_init.format.signing import check_signature, sign
from storage_init.format.verify import verify
from storage_init.store import inventory
from storage_init.store.check import check
from storage_init.store.layout import holds, readable_errors
from storage_init.store.publish import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage_init.store.layout import Store


@dataclass(frozen=True)
class Verified:
    """The result for one version, as ``verify --json`` prints it."""

    model: str
    version: str
    ok: bool
    files: int
    bytes: int
    seconds: float
    megabytes_per_second: float
    problems: list[str]


def verify_versions(
    store: Store, model: str | None, version: str | None = None, key: Path | None = None
) -> Iterator[Verified]:
    """Check every file of a version, of all versions of a model, or of all models.

    Args:
        store: where the versions are.
        model: the model's name; None for all models.
        version: the version's name; None for all versions.
        key: PEM file of the public key that must verify each signature; None checks no signature.

    Raises:
        StoreError: there is no such model or version.
        SigningKeyError: the key cannot be used.
    """
    for name in _chosen(store, model, inventory.models(store)):
        for each in _chosen(store, version, inventory.version_names(store, name), f"{name}@"):
            found = _verify(store, name, each, key)
            # A version that was collected during the check is gone, not broken.
            if found.ok or store.version_folder(name, each).is_dir():
                yield found


def _chosen(store: Store, wanted: str | None, known: list[str], prefix: str = "") -> list[str]:
    if wanted is None:
        return known
    if wanted not in known:
        raise StoreError(
            f"{store.root} has no {prefix}{wanted} (it has {', '.join(known) or 'none'})"
        )
    return [wanted]


def _verify(store: Store, model: str, version: str, key: Path | None) -> Verified:
    folder = store.version_folder(model, version)
    start = time.perf_counter()
    finding = check(folder, model, version, hashes=True)
    seconds = time.perf_counter() - start
    files = finding.package.files if finding.package else []
    size = sum(file.size for file in files)
    problems = finding.problems + _signature_problems(folder, key)
    return Verified(
        model=model,
        version=version,
        ok=not problems,
        files=len(files),
        bytes=size,
        seconds=round(seconds, 6),
        megabytes_per_second=round(size / 1e6 / seconds, 1),
        problems=problems,
    )


def sign_version(store: Store, model: str, version: str | None, key: Path) -> Path:
    """Sign a version, by default ``current``, and return its folder.

    Every file is verified first, so that a signature never vouches for a broken version. An older
    signature is replaced. The version keeps its name, because ``package.sig`` is not part of it.

    Raises:
        StoreError: there is no such version, or the store cannot be written.
        PackageError, VerificationError: the version is broken; the message names every file.
        SigningKeyError: the key cannot be used.
    """
    folder = store.resolve(model, version)
    with readable_errors(store), store.staging("sign") as staged:
        sign(folder, key, staged / SIGNATURE_FILE)
        package = verify(folder)
        if not holds(model, package.name) or version_of(read_description(folder)) != folder.name:
            raise StoreError(f"{folder} holds another package than {model}@{folder.name}")
        (staged / SIGNATURE_FILE).chmod(FILE_MODE)
        fsync(staged / SIGNATURE_FILE)
        (staged / SIGNATURE_FILE).replace(folder / SIGNATURE_FILE)
        fsync(folder)
    return folder


def _signature_problems(folder: Path, key: Path | None) -> list[str]:
    """The problems with a version's signature; none without a key to verify it with."""
    try:
        check_signature(folder, key)
    except SignatureError as error:
        return [error.problem]
    except (PackageError, VerificationError):
        # The description is broken: the check of the files has named it.
        return ["its signature cannot be checked"]
    return []

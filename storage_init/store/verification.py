"""Full verification of what lies in a store, and how fast it went."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.errors import StoreError
from storage_init.store import inventory
from storage_init.store.check import check
from storage_init.store.signatures import signature_problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage_init.store.layout import Store


@dataclass(frozen=True)
class Verified:
    """What was found in one version: ``bytes`` hashed in ``seconds``; no problems, all is well."""

    model: str
    version: str
    files: int
    bytes: int
    seconds: float
    problems: list[str]

    @property
    def megabytes_per_second(self) -> float:
        return self.bytes / 1e6 / self.seconds if self.seconds else 0.0


def verify_versions(
    store: Store, model: str | None, version: str | None = None, key: Path | None = None
) -> Iterator[Verified]:
    """Check every file of a version, of all versions of a model, or of all models.

    ``key``: a PEM file of the public key that each must be signed for; None asks for no signature.

    Raises:
        StoreError: there is no such store, model or version.
        SigningKeyError: the key cannot be used.
    """
    for name in _models(store, model):
        for wanted in _versions(store, name, version):
            found = _verify(store, name, wanted, key)
            # Collected while it was checked: it is no more, and so not broken.
            if not found.problems or store.version_folder(name, wanted).is_dir():
                yield found


def _models(store: Store, model: str | None) -> list[str]:
    inventory.open_store(store)
    known = inventory.models(store)
    if model is None:
        return known
    if model not in known:
        raise StoreError(f"{store.root} has no {model} (it has {', '.join(known) or 'no models'})")
    return [model]


def _versions(store: Store, model: str, version: str | None) -> list[str]:
    known = inventory.version_names(store, model)
    if version is None:
        return known
    if version not in known:
        has = ", ".join(known) or "no versions"
        raise StoreError(f"{store.root} has no {model}@{version} (it has {has})")
    return [version]


def _verify(store: Store, model: str, version: str, key: Path | None) -> Verified:
    folder = store.version_folder(model, version)
    start = time.perf_counter()
    finding = check(folder, model, version, hashes=True)
    seconds = time.perf_counter() - start
    files = finding.package.files if finding.package else []
    size = sum(file.size for file in files)
    problems = finding.problems + signature_problems(folder, key)
    return Verified(model, version, len(files), size, seconds, problems)

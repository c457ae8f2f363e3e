"""The command ``rollout``, and a copy of the cluster's store for it on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

from storage_init.format.package import PACKAGE_FILE, SUMS_FILE
from storage_init.format.reading import read_package
from storage_init.store.layout import Store
from storage_init.store.publish import publish
from tests.support.manifests.render import SERVICE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from storage_init.format.package import Package
    from tests.support.cluster.service import Service


def command(service: Service, store: Store, version: str, *flags: str) -> Sequence[str]:
    """The words that roll a service out to a version."""
    where = f"--service={service.space.name}/{service.name}"
    words = [SERVICE, f"--version={version}", where, f"--store={store.root}", *flags]
    return [sys.executable, "-m", "pipeline", "rollout", *words]


def roll_out(
    service: Service, store: Store, version: str, *flags: str
) -> subprocess.CompletedProcess[str]:
    """Roll a service out, whatever comes of it."""
    words = command(service, store, version, *flags)
    return subprocess.run(words, capture_output=True, text=True, check=False)


def versions(*folders: Path) -> list[str]:
    """The versions of packages."""
    return [read_package(folder)[1] for folder in folders]


def local_store(root: Path, *folders: Path) -> Store:
    """A store of these packages, the last one current; they have the cluster's versions."""
    store = Store(root)
    for folder in folders:
        described, _ = read_package(folder)
        with store.staging() as staged:
            shutil.copytree(folder, staged, dirs_exist_ok=True)
            for name in (PACKAGE_FILE, SUMS_FILE):
                (staged / name).unlink()
            publish(store, staged, partial(_described, described))
    return store


def _described(package: Package, _: object) -> Package:
    return package

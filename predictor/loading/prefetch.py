"""The first thing a start does: read what a folder holds, and have threads check its files.

Nothing here needs numpy or ONNX Runtime. Hashing lets go of the GIL and brings the files' pages
into memory, so both are under way while Python goes on importing.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from predictor.errors import NoVariantError
from predictor.loading.variants import Runtime, choose
from storage_init.base.errors import VerificationError
from storage_init.base.proc_links import leads_by_name
from storage_init.format.package import FileEntry, Package, Variant, is_package, read_package
from storage_init.format.signing import check_signature
from storage_init.format.verify import check_files
from storage_init.running import providers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from predictor.settings import Settings

# What can be told of ONNX Runtime without importing it. Its version decides only whether a
# variant's packed graph is used, whose files are the variant's in any case.
FORESEEN = Runtime("", providers.not_installed)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Phases:
    """Seconds each phase of a load took; phases may overlap."""

    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function; a phase that fails is not recorded."""
        start = time.perf_counter()
        result = function(*args, **kwargs)
        self.seconds[name] = time.perf_counter() - start
        return result


@dataclass(frozen=True)
class Prepared:
    """A prepared model whose files are being checked; ``problems`` is what will be found."""

    package: Package
    version: str
    checking: Collection[str]
    problems: Future[list[str]]
    signature: Future[None] | None


@dataclass(frozen=True)
class Prefetched:
    """A folder of which reading has begun; ``prepared`` is None where nobody prepared it."""

    folder: Path
    settings: Settings
    phases: Phases
    prepared: Prepared | None = None

    def verified(self, prepared: Prepared, variant: Variant) -> None:
        """Wait for the checks, and make up those that this variant needs beyond them.

        Raises:
            SignatureError: a key was set, and its signature is not there or not good.
            VerificationError: names every file that is not as described.
        """
        if prepared.signature:
            prepared.signature.result()
        served = prepared.package.served_files(variant)
        more = [entry for entry in served if entry.path not in prepared.checking]
        found = prepared.problems.result() + _problems(self.folder, more, self.settings)
        if found:
            raise VerificationError(str(self.folder), found)


def prefetch(settings: Settings) -> Prefetched:
    """Read what the folder says it holds and start to check it.

    Raises:
        WarmstartError: its description cannot be read, or it is not signed and has to be.
    """
    phases = Phases()
    folder = settings.model_dir
    if leads_by_name(folder):
        # The link may be swapped to another version while we read.
        folder = folder.resolve()
    if not is_package(folder):
        check_signature(folder, settings.verify_key)
        return Prefetched(folder, settings, phases)
    package, version = phases.time("read", read_package, folder)
    entries, key = _entries(package, settings), settings.verify_key
    pool = ThreadPoolExecutor(2, thread_name_prefix="verify")
    problems = pool.submit(phases.time, "verify", _problems, folder, entries, settings)
    signature = None
    if key:
        signature = pool.submit(
            phases.time, "signature", check_signature, folder, key, package=package
        )
    pool.shutdown(wait=False)
    checking = {entry.path for entry in entries}
    prepared = Prepared(package, version, checking, problems, signature)
    return Prefetched(folder, settings, phases, prepared)


def _entries(package: Package, settings: Settings) -> list[FileEntry]:
    """The files to check before ONNX Runtime can tell which variant it will be."""
    if settings.verify == "all":
        return list(package.files)
    try:
        choice = choose(package, settings.wanted, FORESEEN, settings.batch_limits)
    except NoVariantError:
        return []
    return package.served_files(choice.variant)


def _problems(folder: Path, entries: list[FileEntry], settings: Settings) -> list[str]:
    return check_files(folder, entries, hashes=settings.verify != "size") if entries else []

"""Reads what a folder holds and starts to verify its files, before anything heavy is imported.

Nothing here needs numpy or ONNX Runtime. Hashing releases the GIL and reads the files' pages into
memory, so both happen while Python imports the rest.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from predictor.errors import NoVariantError
from predictor.loading.variants import Runtime, choose
from storage_init.base.errors import DigestError, VerificationError
from storage_init.base.files import leads_by_name
from storage_init.format import measurements
from storage_init.format.reading import describe, is_package
from storage_init.format.signing import check_signature
from storage_init.format.verify import check_files
from storage_init.running import providers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from predictor.loading.variants import Choice
    from predictor.settings import Settings
    from storage_init.format.measurements import Measurements
    from storage_init.format.package import FileEntry, Package
    from storage_init.format.reading import Description

# What is known of ONNX Runtime before it is imported. Its version only decides whether a variant's
# packed graph is used, and all files of a variant are checked anyway.
UNIMPORTED = Runtime("", providers.not_installed)
log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Phases:
    """Seconds that each phase of a load took; phases may overlap."""

    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function as a phase; a phase that fails is not recorded."""
        start = time.perf_counter()
        result = function(*args, **kwargs)
        self.seconds[name] = time.perf_counter() - start
        return result


@dataclass(frozen=True)
class Prepared:
    """A prepared model whose files are being verified.

    ``digest``: of its description, in hex. ``measured``: its measurements, if they are usable.
    ``checking``: paths of the files that are. ``problems``: of those files, once all are checked.
    """

    package: Package
    version: str
    digest: str
    measured: Measurements
    checking: Collection[str]
    problems: Future[list[str]]
    signature: Future[None] | None


@dataclass(frozen=True)
class Prefetched:
    """A folder that is being read; ``prepared`` is None for a plain ONNX export."""

    folder: Path
    settings: Settings
    phases: Phases
    prepared: Prepared | None = None

    def verify(self, prepared: Prepared, choice: Choice) -> None:
        """Wait for the checks, then check those files of the choice that they left out.

        Raises:
            SignatureError: a key is set, and the signature is missing or wrong.
            VerificationError: names every file that differs from its description.
        """
        if prepared.signature:
            prepared.signature.result()
        served = _served_files(prepared.package, choice)
        more = [entry for entry in served if entry.path not in prepared.checking]
        found = prepared.problems.result() + _problems(self.folder, more, self.settings)
        if found:
            raise VerificationError(str(self.folder), found)


def prefetch(settings: Settings) -> Prefetched:
    """Read the description of the model in ``settings.model_dir`` and start to check its files.

    Raises:
        WarmstartError: the description cannot be read, or a required signature is missing.
    """
    phases = Phases()
    folder = settings.folder
    if leads_by_name(folder):
        # The link may be switched to another version at any moment.
        folder = folder.resolve()
    if not is_package(folder):
        check_signature(folder, settings.verify_key)
        _check_plain(folder, settings)
        return Prefetched(folder, settings, phases)
    described, measured = phases.time("read", _read, folder, settings)
    package, key = described.package, settings.verify_key
    entries = _foreseen_files(package, settings, measured)
    pool = ThreadPoolExecutor(2, thread_name_prefix="verify")
    problems = pool.submit(phases.time, "verify", _problems, folder, entries, settings)
    signature = None
    if key:
        signature = pool.submit(
            phases.time, "signature", check_signature, folder, key, package=package
        )
    pool.shutdown(wait=False)
    checking = {entry.path for entry in entries}
    prepared = Prepared(
        package,
        described.version,
        described.digest,
        measured,
        checking,
        problems,
        signature,
    )
    return Prefetched(folder, settings, phases, prepared)


def _read(folder: Path, settings: Settings) -> tuple[Description, Measurements]:
    described = _describe_expected(folder, settings)
    return described, measurements.read(folder, described.package, described.version)


def _describe_expected(folder: Path, settings: Settings) -> Description:
    """Read a description; refuse it, or only warn, if its digest is not the expected one."""
    try:
        return describe(folder, settings.verification_digest)
    except DigestError as error:
        if settings.verification_mode == "enforce":
            raise
        log.warning("%s. Serving it, because of --verification_mode=warn", error)
        return describe(folder)


def _check_plain(folder: Path, settings: Settings) -> None:
    if settings.verification_digest is None:
        return
    error = f"{folder} is not a prepared model: --verification_digest needs one"
    if settings.verification_mode == "enforce":
        raise DigestError(f"{error}. Prepare it with: python -m pipeline run")
    log.warning("%s. Serving it, because of --verification_mode=warn", error)


def _foreseen_files(
    package: Package, settings: Settings, measured: Measurements
) -> list[FileEntry]:
    """The files to check while the variant is only a guess."""
    if settings.verify == "all":
        return list(package.files)
    try:
        return _served_files(package, choose(package, settings, UNIMPORTED, measured))
    except NoVariantError:
        return []


def _served_files(package: Package, choice: Choice) -> list[FileEntry]:
    files = {
        entry.path: entry for variant in choice.served for entry in package.served_files(variant)
    }
    return list(files.values())


def _problems(folder: Path, entries: list[FileEntry], settings: Settings) -> list[str]:
    return check_files(folder, entries, hashes=settings.verify != "size") if entries else []

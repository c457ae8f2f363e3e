"""From a folder to an engine that may serve, with the time each phase took."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import onnxruntime as ort

from predictor.checks import Warmup, replay_selftest, warm_up
from predictor.engine import Engine
from predictor.fallback import check_inputs, read_plain_folder
from predictor.tasks import task_for
from predictor.variants import BatchLimits, Runtime, choose
from storage_init.errors import VerificationError
from storage_init.package import (
    SELFTEST_FILE,
    TOKENIZER_FILE,
    Package,
    Variant,
    is_package,
    read_package,
)
from storage_init.runtime import Tokenizer, input_names, open_session
from storage_init.selftest import SelfTest
from storage_init.signing import check_signature
from storage_init.verify import check_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from predictor.settings import Settings

log = logging.getLogger(__name__)

UNPREPARED = "unprepared"
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
class LoadedModel:
    """A model that passed every check there was for it.

    ``package`` is None and ``variant`` "unprepared" for a plain folder; ``selftest_distance`` is
    then None, too.
    """

    engine: Engine
    package: Package | None
    version: str
    variant: str
    selftest_distance: float | None
    warmup: Warmup
    phases: Phases


def load(settings: Settings) -> LoadedModel:
    """Load, verify, self-test and warm up the model in ``settings.model_dir``.

    Raises:
        WarmstartError: names the check that failed and by how much.
    """
    phases = Phases()
    # The link may be swapped to another version while we read.
    folder = settings.model_dir.resolve()
    loader = _load_package if is_package(folder) else _load_plain
    return phases.time("total", loader, folder, settings, phases)


def _load_package(folder: Path, settings: Settings, phases: Phases) -> LoadedModel:
    package, version = phases.time("read", read_package, folder)
    runtime = Runtime(ort.__version__, ort.get_available_providers())
    limits = BatchLimits(settings.max_batch_move, settings.max_batch_flips)
    choice = choose(package, settings.variant, runtime, limits)
    variant = choice.variant
    with ThreadPoolExecutor(thread_name_prefix="load") as pool:
        verified = pool.submit(phases.time, "verify", _verify, folder, package, variant, settings)
        session = pool.submit(
            phases.time,
            "session",
            open_session,
            folder / choice.graph,
            threads=settings.threads,
            provider=variant.requires.provider,
        )
        tokenizer = pool.submit(
            phases.time,
            "tokenizer",
            Tokenizer,
            folder / TOKENIZER_FILE,
            package.limits.max_length,
            package.pad_token_id,
        )
        # First: what a corrupt file does to the others is of no interest.
        verified.result()
        budget = settings.max_batch_tokens if choice.may_batch else None
        engine = Engine(session.result(), tokenizer.result(), task_for(package.task), budget)
    selftest = SelfTest.load(folder / SELFTEST_FILE)
    distance = phases.time("selftest", replay_selftest, engine, selftest, package.task, variant)
    warmup = phases.time("warmup", warm_up, engine, settings.warmup_inferences)
    return LoadedModel(engine, package, version, variant.name, distance, warmup, phases)


def _load_plain(folder: Path, settings: Settings, phases: Phases) -> LoadedModel:
    check_signature(folder, settings.verify_key)
    graph, facts = phases.time("read", read_plain_folder, folder)
    log.warning(
        "%s is not a prepared model: serving %s as it is, unverified and without a self-test. "
        "Prepare it with: python -m pipeline run",
        folder,
        graph.name,
    )
    tokenizer = phases.time(
        "tokenizer",
        Tokenizer,
        folder / TOKENIZER_FILE,
        facts.limits.max_length,
        facts.pad_token_id,
    )
    session = phases.time("session", open_session, graph, threads=settings.threads, optimized=False)
    check_inputs(graph, input_names(session))
    engine = Engine(session, tokenizer, task_for(facts.task), settings.max_batch_tokens)
    warmup = phases.time("warmup", warm_up, engine, settings.warmup_inferences)
    return LoadedModel(engine, None, UNPREPARED, UNPREPARED, None, warmup, phases)


def _verify(folder: Path, package: Package, variant: Variant, settings: Settings) -> None:
    check_signature(folder, settings.verify_key, package=package)
    every = settings.verify == "all"
    entries = package.files if every else package.served_files(variant)
    if problems := check_files(folder, entries, hashes=settings.verify != "size"):
        raise VerificationError(str(folder), problems)

"""From a folder to an engine that may serve: session, tokenizer, checks, self-test, warm-up."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnxruntime as ort

from predictor.engine.engine import Engine
from predictor.engine.tasks import task_for
from predictor.loading.prefetch import Phases, Prefetched, Prepared, prefetch
from predictor.loading.self_test import Warmup, replay_selftest, warm_up
from predictor.loading.storage_origin import Origin, origin_of
from predictor.loading.tokenizer_cache import TokenizerCache
from predictor.loading.variants import Choice, Runtime, choose
from predictor.settings import AUTO
from storage_init.base.logs import event
from storage_init.format.package import SELFTEST_FILE, TOKENIZER_FILE, Package
from storage_init.format.selftest import SelfTest
from storage_init.running.providers import CPU
from storage_init.running.runtime import cut_of, input_names, open_session

if TYPE_CHECKING:
    from pathlib import Path

    from predictor.settings import Settings
    from storage_init.running.runtime import Tokenizer

log = logging.getLogger(__name__)

UNPREPARED: Origin = "unprepared"
# Twice what a session takes to read a graph whose weights lie elsewhere.
HEAD_START_SECONDS = 0.006


@dataclass(frozen=True)
class LoadedModel:
    """A model that passed every check there was for it.

    ``package`` is None and ``variant`` "unprepared" for a plain folder; ``selftest_distance`` and
    ``choice`` are then None, too. ``folder`` is where its files are, links resolved.
    """

    engine: Engine
    package: Package | None
    version: str
    variant: str
    selftest_distance: float | None
    warmup: Warmup
    phases: Phases
    folder: Path
    origin: Origin
    choice: Choice | None = None


def load(
    settings: Settings,
    prefetched: Prefetched | None = None,
    tokenizers: TokenizerCache | None = None,
) -> LoadedModel:
    """Load, verify, self-test and warm up the model in ``settings.model_dir``.

    Args:
        settings: the model's.
        prefetched: what was begun before ONNX Runtime could be imported.
        tokenizers: those of the server's other models.

    Raises:
        WarmstartError: names the check that failed and by how much.
    """
    start = time.perf_counter()
    begun = prefetched or prefetch(settings)
    prepared, phases = begun.prepared, begun.phases
    cache = tokenizers or TokenizerCache()
    loaded = _load_prepared(begun, prepared, cache) if prepared else _load_plain(begun, cache)
    # What was read in a prefetch is a part of the load; what was imported since is not.
    read = phases.seconds.get("read", 0.0) if prefetched else 0.0
    phases.seconds["total"] = time.perf_counter() - start + read
    return loaded


def _load_prepared(
    begun: Prefetched, prepared: Prepared, tokenizers: TokenizerCache
) -> LoadedModel:
    package, folder = prepared.package, begun.folder
    settings, phases = begun.settings, begun.phases
    choice = choose(package, settings.wanted, Runtime(ort.__version__), settings.batch_limits)
    variant = choice.variant
    for name, why in choice.passed_over.items():
        event(log, "variant passed over", model=settings.model_name, variant=name, why=why)
    with ThreadPoolExecutor(2, thread_name_prefix="load") as pool:
        session = pool.submit(
            phases.time,
            "session",
            open_session,
            folder / choice.graph,
            threads=settings.threads,
            lanes=settings.lanes,
            provider=choice.provider,
            precision=choice.precision,
        )
        texts = pool.submit(_read_texts, folder, package, phases, tokenizers)
        # First: what a corrupt file does to the others is of no interest.
        begun.verified(prepared, variant)
        selftest, tokenizer = texts.result()
        task = task_for(package.task, tokenizer)
        engine = Engine(session.result(), tokenizer, task, choice.may_batch)
    lanes = settings.lanes
    distance = phases.time(
        "selftest", replay_selftest, engine, selftest, package.task, variant, lanes
    )
    warmup = phases.time("warmup", warm_up, engine, settings.warmup_inferences, lanes)
    return LoadedModel(
        engine,
        package,
        prepared.version,
        variant.name,
        distance,
        warmup,
        phases,
        folder,
        origin_of(folder, prepared=True),
        choice,
    )


def _read_texts(
    folder: Path, package: Package, phases: Phases, tokenizers: TokenizerCache
) -> tuple[SelfTest, Tokenizer]:
    selftest = SelfTest.load(folder / SELFTEST_FILE)
    # A tokenizer is parsed with the GIL held. A session needs it once more after reading its graph,
    # and would wait for the whole of that; from then on it works without.
    time.sleep(HEAD_START_SECONDS)
    return selftest, phases.time(
        "tokenizer",
        tokenizers.open,
        folder / TOKENIZER_FILE,
        package.limits.max_length,
        package.pad_token_id,
        cut_of(package.task),
    )


def _load_plain(begun: Prefetched, tokenizers: TokenizerCache) -> LoadedModel:
    from predictor.loading.plain_folder import check_answer, check_inputs, read_plain_folder

    folder, settings, phases = begun.folder, begun.settings, begun.phases
    graph, facts = phases.time("read", read_plain_folder, folder)
    log.warning(
        "%s is not a prepared model: serving %s as it is, unverified and without a self-test. "
        "Prepare it with: python -m pipeline run",
        folder,
        graph.name,
    )
    tokenizer = phases.time(
        "tokenizer",
        tokenizers.open,
        folder / TOKENIZER_FILE,
        facts.limits.max_length,
        facts.pad_token_id,
        cut_of(facts.task),
    )
    session = phases.time(
        "session",
        open_session,
        graph,
        threads=settings.threads,
        lanes=settings.lanes,
        provider=CPU if settings.provider == AUTO else settings.provider,
        optimized=False,
    )
    check_inputs(graph, input_names(session))
    check_answer(graph, facts, len(session.get_outputs()[0].shape))
    engine = Engine(session, tokenizer, task_for(facts.task, tokenizer))
    warmup = phases.time("warmup", warm_up, engine, settings.warmup_inferences, settings.lanes)
    return LoadedModel(
        engine, None, UNPREPARED, UNPREPARED, None, warmup, phases, folder, UNPREPARED
    )

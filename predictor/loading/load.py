"""Loads a model from a folder: session, tokenizer, verification, self-test, warm-up."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnxruntime as ort
from msgspec import UNSET

from predictor.engine.engine import Engine
from predictor.engine.second_opinion import SecondOpinion
from predictor.engine.tasks.registry import task_for
from predictor.engine.tokenizer_cache import TokenizerCache
from predictor.loading.prefetch import Phases, Prefetched, Prepared, prefetch
from predictor.loading.self_test import replay_selftest
from predictor.loading.storage_origin import Origin, origin_of
from predictor.loading.variants import Choice, Runtime, attention_room, choose, may_batch
from predictor.loading.warmup import Warmup, warm_up
from predictor.settings import AUTO
from predictor.telemetry.metrics import referee_observer
from storage_init.base.logs import event
from storage_init.format.measurements import NOTHING, Measurements
from storage_init.format.package import SELFTEST_FILE, TOKENIZER_FILE, Package
from storage_init.format.selftest import SelfTest
from storage_init.running.providers import CPU
from storage_init.running.session import input_names, open_session
from storage_init.running.tokenizer import cut_of

if TYPE_CHECKING:
    from pathlib import Path

    from predictor.settings import Settings
    from storage_init.raw.hf_config import ModelFacts
    from storage_init.running.tokenizer import Tokenizer

log = logging.getLogger(__name__)

UNPREPARED: Origin = "unprepared"
# Twice the time that a session needs to read a graph whose weights are in another file.
HEAD_START_SECONDS = 0.006


@dataclass(frozen=True)
class LoadedModel:
    """A model that has passed all checks of its load.

    For a plain ONNX export, ``version`` and ``variant`` are "unprepared" and ``package``,
    ``selftest_distance`` and ``choice`` are None. ``folder``: of its files, links resolved.
    ``digest``: of its ``package.json``.
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
    digest: str = ""
    measured: Measurements = NOTHING


def load(
    settings: Settings,
    prefetched: Prefetched | None = None,
    tokenizers: TokenizerCache | None = None,
) -> LoadedModel:
    """Load, verify, self-test and warm up the model in ``settings.model_dir``.

    Args:
        settings: the model's.
        prefetched: the result of :func:`prefetch` for these settings, if it ran already.
        tokenizers: those of the server's other models.

    Raises:
        WarmstartError: names the check that failed and by how much.
    """
    start = time.perf_counter()
    fetched = prefetched or prefetch(settings)
    cache = tokenizers or TokenizerCache()
    prepared, seconds = fetched.prepared, fetched.phases.seconds
    loaded = _load_prepared(fetched, prepared, cache) if prepared else _load_plain(fetched, cache)
    # The read of an earlier prefetch belongs to the load; the imports since then do not.
    read = seconds.get("read", 0.0) if prefetched else 0.0
    seconds["total"] = time.perf_counter() - start + read
    return loaded


def _load_prepared(
    prefetched: Prefetched, prepared: Prepared, tokenizers: TokenizerCache
) -> LoadedModel:
    package, folder = prepared.package, prefetched.folder
    settings, phases = prefetched.settings, prefetched.phases
    choice = choose(package, settings, Runtime(ort.__version__), prepared.measured)
    variant, lanes = choice.variant, settings.lanes
    for name, why in choice.passed_over.items():
        event(log, "variant passed over", model=settings.model_name, variant=name, why=why)
    if settings.is_enforcing:  # nothing is parsed before it is known to be what is expected
        prefetched.verify(prepared, choice)
    with ThreadPoolExecutor(2, thread_name_prefix="load") as pool:
        session = pool.submit(
            phases.time,
            "session",
            open_session,
            folder / choice.graph,
            threads=settings.threads,
            lanes=lanes,
            provider=choice.provider,
            precision=choice.precision,
        )
        texts = pool.submit(_read_texts, prefetched, package, tokenizers)
        if not settings.is_enforcing:
            # First, because a corrupt file explains the errors of the others.
            prefetched.verify(prepared, choice)
        selftest, tokenizer = texts.result()
        task = task_for(package.task, tokenizer)
        room = attention_room(package, choice)
        engine = Engine(session.result(), tokenizer, task, choice.may_batch, room=room)
    distance = phases.time(
        "selftest", replay_selftest, engine, selftest, package.task, variant, lanes
    )
    # Before the referee, whose metric counts texts of requests.
    warmup = phases.time("warmup", warm_up, engine, settings.warmup_inferences, lanes)
    if variant.referee and not choice.referee:
        event(log, "no referee", model=settings.model_name, setting=settings.referee)
    if choice.referee:
        engine = phases.time("referee", _refereed, engine, choice, prefetched, package, selftest)
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
        prepared.digest,
        prepared.measured,
    )


def _refereed(
    engine: Engine, choice: Choice, prefetched: Prefetched, package: Package, selftest: SelfTest
) -> Engine:
    """The engine with the full-precision variant as its second opinion, self-tested as well."""
    variant, settings = choice.referee, prefetched.settings
    margin = choice.variant.referee
    assert variant is not None and margin is not UNSET  # noqa: S101 - the choice has a referee
    session = open_session(
        prefetched.folder / variant.graph, threads=settings.threads, lanes=settings.lanes
    )
    exact = replace(engine, session=session, batches=may_batch(variant.batch_sensitivity, settings))
    replay_selftest(exact, selftest, package.task, variant, settings.lanes)
    observe = referee_observer(settings.model_name)
    opinion = SecondOpinion(exact.run, package.task, margin.margin, exact.batches, observe)
    return replace(engine, second_opinion=opinion)


def _read_texts(
    prefetched: Prefetched, package: Package, tokenizers: TokenizerCache
) -> tuple[SelfTest, Tokenizer]:
    selftest = SelfTest.load(prefetched.folder / SELFTEST_FILE)
    # Parsing a tokenizer holds the GIL. The session needs the GIL once more after reading its
    # graph and would wait until the tokenizer is parsed; from then on it runs without the GIL.
    time.sleep(HEAD_START_SECONDS)
    return selftest, _open_tokenizer(prefetched, package, tokenizers)


def _open_tokenizer(
    prefetched: Prefetched, model: Package | ModelFacts, tokenizers: TokenizerCache
) -> Tokenizer:
    return prefetched.phases.time(
        "tokenizer",
        tokenizers.open,
        prefetched.folder / TOKENIZER_FILE,
        model.limits.max_length,
        model.pad_token_id,
        cut_of(model.task),
    )


def _load_plain(prefetched: Prefetched, tokenizers: TokenizerCache) -> LoadedModel:
    from predictor.loading.plain_folder import check_graph, read_plain_folder

    folder, settings, phases = prefetched.folder, prefetched.settings, prefetched.phases
    graph, facts = phases.time("read", read_plain_folder, folder)
    log.warning(
        "%s is not a prepared model: serving %s as it is, unverified and without a self-test. "
        "Prepare it with: python -m pipeline run",
        folder,
        graph.name,
    )
    tokenizer = _open_tokenizer(prefetched, facts, tokenizers)
    session = phases.time(
        "session",
        open_session,
        graph,
        threads=settings.threads,
        lanes=settings.lanes,
        provider=CPU if settings.provider == AUTO else settings.provider,
        optimized=False,
    )
    check_graph(graph, facts, input_names(session), len(session.get_outputs()[0].shape))
    engine = Engine(session, tokenizer, task_for(facts.task, tokenizer))
    warmup = phases.time("warmup", warm_up, engine, settings.warmup_inferences, settings.lanes)
    return LoadedModel(
        engine, None, UNPREPARED, UNPREPARED, None, warmup, phases, folder, UNPREPARED
    )

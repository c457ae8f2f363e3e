"""A second session for a request that has the server to itself: it runs on the CPUs of all lanes.

A lane's session has few threads, because more of them slow a busy server down. So a lone request
would leave the other lanes' CPUs idle.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from predictor.loading.self_test import replay_selftest
from storage_init.base.logs import event
from storage_init.format.package import SELFTEST_FILE
from storage_init.format.selftest import SelfTest
from storage_init.running.providers import CPU
from storage_init.running.session import open_session

if TYPE_CHECKING:
    from predictor.engine.engine import Engine
    from predictor.loading.load import LoadedModel
    from predictor.settings import Settings

log = logging.getLogger(__name__)

# More were not measured, and a small inference has little to share.
MOST_THREADS = 4


def threads_alone(loaded: LoadedModel, settings: Settings) -> int:
    """Threads of an inference while the other lanes are idle; 0 if there is no session for it."""
    choice = loaded.choice
    if choice is None or choice.provider != CPU:
        return 0
    # ONNX Runtime would copy weights that are not packed yet, once for each session.
    chosen = min(settings.lanes * settings.threads, MOST_THREADS) if choice.packed else 0
    threads = settings.threads_alone or chosen
    return threads if threads > settings.threads else 0


def open_alone(loaded: LoadedModel, settings: Settings) -> Engine:
    """The engine of a loaded model over a session of :func:`threads_alone` threads, self-tested.

    Raises:
        WarmstartError: the graph cannot be opened, or an answer is too far from the reference.
    """
    start = time.perf_counter()
    choice, package, threads = loaded.choice, loaded.package, threads_alone(loaded, settings)
    assert choice and package  # noqa: S101 - else there are no threads
    session = open_session(loaded.folder / choice.graph, threads=threads)
    # Without the referee, whose metric counts texts of requests.
    tested = replace(loaded.engine, session=session, second_opinion=None)
    selftest = SelfTest.load(loaded.folder / SELFTEST_FILE)
    replay_selftest(tested, selftest, package.task, choice.variant)
    seconds = round(time.perf_counter() - start, 4)
    event(log, "more threads alone", model=settings.model_name, threads=threads, seconds=seconds)
    return replace(loaded.engine, session=session)

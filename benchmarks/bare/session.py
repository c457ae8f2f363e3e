"""``InferenceSession()`` with no more options than speed asks for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.bare.plan import SessionOutcome
from storage_init.format.reading import read_package

if TYPE_CHECKING:
    import onnxruntime as ort

    from benchmarks.bare.plan import SessionPlan
    from predictor.loading.variants import Choice
    from storage_init.format.package import Package

CPU = "CPUExecutionProvider"


def choose_graph(folder: str, variant: str) -> tuple[Package, Choice]:
    """Read a package, and choose the form of a variant that the predictor would load here."""
    import onnxruntime

    from predictor.loading.variants import Runtime, choose
    from predictor.settings import Settings

    package, _ = read_package(Path(folder))
    runtime = Runtime(onnxruntime.__version__)
    return package, choose(package, Settings(variant=variant), runtime)


def open_bare(folder: str, choice: Choice, lanes: int = 1) -> ort.InferenceSession:
    """Open a session over a prepared graph, with one thread for each lane.

    The graph is optimised already; optimising it again would make the baseline slower than need
    be. A provider that has to be set up is set up as the product does it.
    """
    graph = Path(folder) / choice.graph
    if choice.provider != CPU:
        from storage_init.running.session import open_session

        return open_session(
            graph, lanes=lanes, provider=choice.provider, precision=choice.precision
        )
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(graph), options, providers=[CPU])


def time_session(plan: SessionPlan) -> SessionOutcome:
    """Import ONNX Runtime, create one session and run it once."""
    start = time.perf_counter()
    import onnxruntime  # noqa: F401

    imported = time.perf_counter()
    _, choice = choose_graph(plan.folder, plan.variant)
    chosen = time.perf_counter()
    session = open_bare(plan.folder, choice)
    created = time.perf_counter()
    one = np.ones((1, 8), dtype=np.int64)
    session.run(None, {tensor.name: one for tensor in session.get_inputs()})
    ran = time.perf_counter()
    return SessionOutcome(imported - start, created - chosen, ran - created)

"""``InferenceSession()`` with no more options than speed asks for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime as ort

    from benchmarks.bare.plan import Graph, SessionOutcome, SessionPlan

CPU = "CPUExecutionProvider"


def open_bare(graph: Graph, lanes: int = 1) -> ort.InferenceSession:
    """Open a session over a prepared graph, with one thread for each lane.

    The graph is optimised already; optimising it again would make the baseline slower than need
    be. A provider that has to be set up is set up as the product does it.
    """
    if graph.provider != CPU:
        from pathlib import Path

        from storage_init.running.runtime import open_session

        return open_session(
            Path(graph.path), lanes=lanes, provider=graph.provider, precision=graph.precision
        )
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(graph.path, options, providers=[CPU])


def time_session(plan: SessionPlan) -> SessionOutcome:
    """Import ONNX Runtime, create one session and run it once."""
    import numpy as np

    from benchmarks.bare.plan import SessionOutcome

    start = time.perf_counter()
    import onnxruntime  # noqa: F401

    imported = time.perf_counter()
    session = open_bare(plan.graph)
    created = time.perf_counter()
    one = np.ones((1, 8), dtype=np.int64)
    session.run(None, {tensor.name: one for tensor in session.get_inputs()})
    ran = time.perf_counter()
    return SessionOutcome(imported - start, created - imported, ran - created)

"""``InferenceSession()`` alone: a plan on stdin, its times on stdout."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime as ort

    from benchmarks.bare.plan import Graph

CPU = "CPUExecutionProvider"


def open_bare(graph: Graph, threads: int, lanes: int = 1) -> ort.InferenceSession:
    """A session over a prepared graph with no more options than speed asks for.

    The graph is optimised already; doing it again would make the baseline slower than it need be.
    A provider that has to be set up is set up as the product does.
    """
    if graph.provider != CPU:
        from pathlib import Path

        from storage_init.running.runtime import open_session

        return open_session(
            Path(graph.path),
            threads=threads,
            lanes=lanes,
            provider=graph.provider,
            precision=graph.precision,
        )
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(graph.path, options, providers=[CPU])


def main() -> None:
    """Time it once; what is imported before is not counted."""
    import msgspec
    import numpy as np

    from benchmarks.bare.plan import SessionOutcome, SessionPlan

    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=SessionPlan)
    start = time.perf_counter()
    import onnxruntime  # noqa: F401

    imported = time.perf_counter()
    session = open_bare(plan.graph, plan.threads)
    created = time.perf_counter()
    one = np.ones((1, 8), dtype=np.int64)
    session.run(None, {tensor.name: one for tensor in session.get_inputs()})
    ran = time.perf_counter()
    outcome = SessionOutcome(imported - start, created - imported, ran - created)
    sys.stdout.buffer.write(msgspec.msgpack.encode(outcome))


if __name__ == "__main__":
    main()

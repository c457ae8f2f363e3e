"""``python -m benchmarks.bare``: a plan on stdin, an outcome on stdout.

A session's time includes the import of ONNX Runtime, so each kind of plan imports what it needs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bare.plan import LoopOutcome, LoopPlan, StartPlan
from benchmarks.harness.plans import serve_child

if TYPE_CHECKING:
    import onnxruntime as ort

    from predictor.loading.variants import Choice
    from storage_init.format.package import Package

CPU = "CPUExecutionProvider"


def run(plan: LoopPlan | StartPlan) -> LoopOutcome | dict[str, float]:
    """Run one plan and return its outcome."""
    if isinstance(plan, LoopPlan):
        return _loop(plan)
    return _time_session(plan) if plan.what == "session" else _load(plan)


def _loop(plan: LoopPlan) -> LoopOutcome:
    from benchmarks.bare.loop import Loop
    from storage_init.format.package import TOKENIZER_FILE
    from storage_init.running.tokenizer import Tokenizer

    package, choice = _choose(plan)
    file, length = Path(plan.folder) / TOKENIZER_FILE, package.limits.max_length
    tokenizer = Tokenizer(file, length, package.pad_token_id)
    return Loop(plan, _open(plan, choice, plan.lanes), tokenizer).run()


def _load(plan: StartPlan) -> dict[str, float]:
    """Load as the predictor does, but check sizes only."""
    from predictor import process

    process.tune()
    from predictor.loading.load import load
    from predictor.settings import Settings

    settings = Settings(model_dir=Path(plan.folder), variant=plan.variant, verify="size")
    return load(settings).phases.seconds


def _time_session(plan: StartPlan) -> dict[str, float]:
    """Time ``InferenceSession()``, after the imports and the choice of the graph."""
    _, choice = _choose(plan)
    start = time.perf_counter()
    _open(plan, choice, lanes=1)
    return {"session": time.perf_counter() - start}


def _choose(plan: LoopPlan | StartPlan) -> tuple[Package, Choice]:
    """Read the package, and choose the form of the variant that the predictor would load here."""
    import onnxruntime as ort

    from predictor.loading.variants import Runtime, choose
    from predictor.settings import Settings
    from storage_init.format.reading import read_package

    package, _ = read_package(Path(plan.folder))
    return package, choose(package, Settings(variant=plan.variant), Runtime(ort.__version__))


def _open(plan: LoopPlan | StartPlan, choice: Choice, lanes: int) -> ort.InferenceSession:
    """Open a session with a thread for each lane.

    The graph is optimised already; optimising it again would make the baseline slower. A provider
    that has to be set up is set up as the product does it.
    """
    import onnxruntime as ort

    graph = Path(plan.folder) / choice.graph
    if choice.provider != CPU:
        from storage_init.running.session import open_session

        return open_session(
            graph, lanes=lanes, provider=choice.provider, precision=choice.precision
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(graph), options, providers=[CPU])


if __name__ == "__main__":
    serve_child(LoopPlan | StartPlan, run)

"""``python -m benchmarks.bare``: a plan on stdin, an outcome on stdout.

A session's time includes the import of ONNX Runtime, so each kind of plan imports what it needs.
"""

from __future__ import annotations

import threading
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bare.plan import LoopOutcome, LoopPlan, StartPlan
from benchmarks.harness.plans import serve_child

if TYPE_CHECKING:
    import onnxruntime as ort

    from predictor.loading.variants import Choice
    from storage_init.format.package import Package
    from storage_init.running.tokenizer import Tokenizer

CPU = "CPUExecutionProvider"


def run(plan: LoopPlan | StartPlan) -> LoopOutcome | dict[str, float]:
    """Run one plan and return its outcome."""
    if isinstance(plan, LoopPlan):
        return _loop(plan)
    return _time_session(plan) if plan.what == "session" else _load(plan)


def _loop(plan: LoopPlan) -> LoopOutcome:
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
    from storage_init.format import measurements
    from storage_init.format.reading import read_package

    folder = Path(plan.folder)
    package, version = read_package(folder)
    measured = measurements.read(folder, package, version)
    settings, runtime = Settings(variant=plan.variant), Runtime(ort.__version__)
    return package, choose(package, settings, runtime, measured)


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


# For each batch of a lane, when it ended and how many seconds it took.
Ends = list[tuple[float, float]]


class Loop:
    """``lanes`` threads over one session, which take batches of texts in their order."""

    def __init__(self, plan: LoopPlan, session: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        self._plan = plan
        self._session = session
        self._tokenizer = tokenizer
        self._inputs = [tensor.name for tensor in session.get_inputs()]
        self._texts = cycle(plan.texts)
        self._lock = threading.Lock()

    def run(self) -> LoopOutcome:
        """Warm up, then count the batches that end within the window."""
        opens = time.perf_counter() + self._plan.warmup_seconds
        ended: list[Ends] = [[] for _ in range(self._plan.lanes)]
        lanes = [threading.Thread(target=self._lane, args=(opens, ends)) for ends in ended]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        return outcome(self._plan.batch, opens, ended)

    def _lane(self, opens: float, ended: Ends) -> None:
        while not self._is_over(opens, ended):
            start = time.perf_counter()
            with self._lock:
                texts = list(islice(self._texts, self._plan.batch))
            encodings = self._tokenizer.encode(texts)
            self._session.run(None, self._tokenizer.feeds(encodings, self._inputs))
            end = time.perf_counter()
            ended.append((end, end - start))

    def _is_over(self, opens: float, ended: Ends) -> bool:
        plan, since = self._plan, time.perf_counter() - opens
        if since < plan.seconds:
            return False
        enough = len(ended) >= 2 and ended[-2][0] > opens
        return enough or since > max(plan.seconds, 1.0) * plan.patience


def outcome(batch: int, opens: float, lanes: list[Ends]) -> LoopOutcome:
    """Count the batches from the last end before the window until the first lane is over.

    If no batch ended before the window, count from the first end of all.
    """
    closes = min(ended[-1][0] for ended in lanes)
    ends = sorted(end for ended in lanes for end, _ in ended if end <= closes)
    first = max((end for end in ends if end <= opens), default=ends[0])
    counted = [s for ended in lanes for end, s in ended if first < end <= closes]
    return LoopOutcome(batch, counted, closes - first)


if __name__ == "__main__":
    serve_child(LoopPlan | StartPlan, run)

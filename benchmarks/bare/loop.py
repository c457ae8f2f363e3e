"""A loop over a bare session: tokenise, run, and again."""

from __future__ import annotations

import threading
import time
from itertools import cycle, islice
from typing import TYPE_CHECKING

from benchmarks.bare.plan import LoopOutcome
from storage_init.running.session import input_names

if TYPE_CHECKING:
    import onnxruntime as ort

    from benchmarks.bare.plan import LoopPlan
    from storage_init.running.tokenizer import Tokenizer

# For each batch of a lane, when it ended and how many seconds it took.
Ends = list[tuple[float, float]]


class Loop:
    """``lanes`` threads over one session, which take batches of texts in their order."""

    def __init__(self, plan: LoopPlan, session: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        self._plan = plan
        self._session = session
        self._tokenizer = tokenizer
        self._inputs = input_names(session)
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

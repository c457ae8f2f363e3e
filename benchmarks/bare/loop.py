"""A loop over a bare session: tokenise, run, again; a plan on stdin, the outcome on stdout."""

from __future__ import annotations

import sys
import threading
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.bare.plan import LoopOutcome, LoopPlan
from benchmarks.bare.session import open_bare
from storage_init.running.runtime import Tokenizer, input_names

if TYPE_CHECKING:
    import onnxruntime as ort

# When each batch of a lane ended, and how long it took.
Ends = list[tuple[float, float]]


class Loop:
    """``lanes`` threads over one session; batches are taken in order of arrival."""

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
    """Count from the last end before the window, or the first of all, to when a lane is over."""
    closes = min(ended[-1][0] for ended in lanes)
    ends = sorted(end for ended in lanes for end, _ in ended if end <= closes)
    first = max((end for end in ends if end <= opens), default=ends[0])
    counted = [s for ended in lanes for end, s in ended if first < end <= closes]
    return LoopOutcome(batch, counted, closes - first)


def main() -> None:
    """Run one plan."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=LoopPlan)
    graph = plan.graph
    tokenizer = Tokenizer(Path(graph.tokenizer), graph.max_length, graph.pad_token_id)
    result = Loop(plan, open_bare(graph, plan.threads, plan.lanes), tokenizer).run()
    sys.stdout.buffer.write(msgspec.msgpack.encode(result))


if __name__ == "__main__":
    main()

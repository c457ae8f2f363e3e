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
from storage_init.runtime import Tokenizer, input_names

if TYPE_CHECKING:
    import onnxruntime as ort


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
        closes = opens + self._plan.seconds
        ended: list[tuple[float, float]] = []
        lanes = [
            threading.Thread(target=self._lane, args=(closes, ended))
            for _ in range(self._plan.lanes)
        ]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        counted = [seconds for end, seconds in ended if opens <= end <= closes]
        return LoopOutcome(self._plan.batch, counted, self._plan.seconds)

    def _lane(self, closes: float, ended: list[tuple[float, float]]) -> None:
        while (start := time.perf_counter()) < closes:
            with self._lock:
                texts = list(islice(self._texts, self._plan.batch))
            encodings = self._tokenizer.encode(texts)
            self._session.run(None, self._tokenizer.feeds(encodings, self._inputs))
            end = time.perf_counter()
            ended.append((end, end - start))


def main() -> None:
    """Run one plan."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=LoopPlan)
    graph = plan.graph
    tokenizer = Tokenizer(Path(graph.tokenizer), graph.max_length, graph.pad_token_id)
    outcome = Loop(plan, open_bare(graph, plan.threads), tokenizer).run()
    sys.stdout.buffer.write(msgspec.msgpack.encode(outcome))


if __name__ == "__main__":
    main()

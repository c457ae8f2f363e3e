"""``python -m benchmarks.fairness``: what one client's heavy requests cost another, and the memory.

Each case starts a server, sends heavy requests, and meanwhile asks one short question after another
over a connection of its own. With ``--before FOLDER``, a checkout of another commit, both commits
take turns. It prints a table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import msgspec

from benchmarks.harness.figures import quantile
from benchmarks.harness.launch import PREDICTOR, Running, Server, launch
from benchmarks.harness.plans import ROOT
from benchmarks.harness.report import NOTHING, Table
from benchmarks.harness.requests import INFER_PATH
from benchmarks.models import MINILM, READER, Prepared, prepare

WORDS = "the film was good and the book was long . "
SHORT, QUESTION = "a short text", "what was good ?"
IDLE = 30
# A case ends after this time, even if heavy requests are still running.
SECONDS = 20.0
NOW, BEFORE = "this commit", "before"


class Short(msgspec.Struct):
    """Short requests beside heavy ones; ``idle`` and ``seconds`` of those that were answered."""

    case: str
    commit: str
    idle: list[float]
    seconds: list[float] = []
    refused: int = 0
    heavy: list[float] = []
    heavy_statuses: list[int] = []
    pss: list[float] = []

    @property
    def waited(self) -> float:
        """The longest wait beyond a short request's own work, in seconds."""
        return max(self.seconds, default=float("nan")) - median(self.idle)


def text(size: int) -> str:
    return (WORDS * (size // len(WORDS) + 1))[:size]


def v2(**inputs: Sequence[str]) -> Any:
    return {
        "inputs": [
            {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
            for name, texts in inputs.items()
        ]
    }


def question(size: int) -> Any:
    return v2(question=[QUESTION], context=[text(size)])


# A case's model, its heavy requests, and its short one.
CASES: dict[str, tuple[str, list[Any], Any]] = {
    "a question over 0.5 MB": (READER, [question(500_000)], question(40)),
    "a question over 2 MB": (READER, [question(2_000_000)], question(40)),
    "three bulks of 1,000 documents": (
        MINILM,
        [v2(text=[text(400)] * 1000) for _ in range(3)],
        v2(text=[SHORT]),
    ),
    "seven texts of 1 MB": (MINILM, [v2(text=[text(1_000_000)])] * 7, v2(text=[SHORT])),
    "two texts of 7.5 MB": (MINILM, [v2(text=[text(7_500_000)])] * 2, v2(text=[SHORT])),
}


def measure(case: str, commit: str, running: Running, heavy: list[Any], short: Any) -> Short:
    """Ask short requests alone, then beside the heavy ones until those are answered."""
    url = f"http://127.0.0.1:{running.http_port}{INFER_PATH}"
    with httpx.Client(timeout=300) as client:
        result = Short(case, commit, [_timed(client, url, short)[0] for _ in range(IDLE)])
        result.pss.append(running.memory().pss)
        bodies = [json.dumps(body).encode() for body in heavy]
        threads = [
            threading.Thread(target=_send, args=(url, body, result), daemon=True) for body in bodies
        ]
        for thread in threads:
            thread.start()
        end = time.perf_counter() + SECONDS
        peak = 0.0
        while any(thread.is_alive() for thread in threads) and time.perf_counter() < end:
            seconds, status = _timed(client, url, short)
            if status == httpx.codes.OK:
                result.seconds.append(seconds)
            else:
                result.refused += 1
            peak = max(peak, running.memory().pss)
        # Whoever still waits leaves with the process.
        result.pss += [peak, running.memory().pss]
    return result


def _send(url: str, body: bytes, result: Short) -> None:
    start = time.perf_counter()
    try:
        status = httpx.post(url, content=body, timeout=SECONDS + 10).status_code
    except httpx.TransportError:
        status = 0
    result.heavy.append(time.perf_counter() - start)
    result.heavy_statuses.append(status)


def _timed(client: httpx.Client, url: str, body: Any) -> tuple[float, int]:
    start = time.perf_counter()
    status = client.post(url, json=body).status_code
    return time.perf_counter() - start, status


def table(results: Sequence[Short]) -> Table:
    """One row for each case and commit."""
    rows = [
        [
            each.case,
            each.commit,
            _milliseconds(median(each.idle)),
            f"{len(each.seconds)}, {each.refused}",
            _milliseconds(quantile(each.seconds, 0.5)) if each.seconds else NOTHING,
            _milliseconds(each.waited) if each.seconds else NOTHING,
            " ".join(map(str, sorted(each.heavy_statuses))) or NOTHING,
            ", ".join(f"{mb:.0f}" for mb in each.pss),
        ]
        for each in results
    ]
    head = [
        *("beside", "commit", "alone, ms", "answered, refused", "p50, ms", "longest wait, ms"),
        *("heavy statuses", "PSS before, most, after, MB"),
    ]
    return Table("Short requests beside heavy ones", head, rows, [])


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}"


def main(argv: Sequence[str]) -> int:
    """Measure every case, print the table, and write the samples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--before", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="keeps the models")
    parser.add_argument("--out", type=Path, default=Path(".bench/fairness.json"))
    given = parser.parse_args(argv)
    work = given.folder.resolve()
    (work / "logs").mkdir(parents=True, exist_ok=True)
    commits = {NOW: None} | ({BEFORE: given.before.resolve()} if given.before else {})
    models: dict[str, Prepared] = {name: prepare(name, work) for name in (MINILM, READER)}
    results: list[Short] = []
    for _ in range(given.rounds):
        for case, (model, heavy, short) in CASES.items():
            for commit, root in commits.items():
                print(f"{case}, {commit}", file=sys.stderr, flush=True)
                flags = (f"--model_dir={models[model].folder}", "--log_level=WARNING")
                server = Server(f"fairness {commit}", PREDICTOR, flags)
                with ExitStack() as stack:
                    running = stack.enter_context(launch(server, work / "logs", root or ROOT))
                    results.append(measure(case, commit, running, heavy, short))
                given.out.write_bytes(msgspec.json.encode(results))
    print(table(results).markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

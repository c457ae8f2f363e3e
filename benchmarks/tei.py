"""``python -m benchmarks.tei --binary PATH``: MiniLM in text-embeddings-inference and in ours.

The binary is text-embeddings-router with its ONNX Runtime backend, which takes a plain export and
ONNX Runtime's dynamic int8 of it. Both servers answer OpenAI's route, in turns. It prints a table
and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from benchmarks.client.plan import Plan
from benchmarks.harness.figures import by_round, ratio, rotated, summarize
from benchmarks.harness.http import LOOPBACK, Http, ServerFailedError
from benchmarks.harness.launch import memory
from benchmarks.harness.process import command_line, free_port, started, wait_until_ready
from benchmarks.harness.report import Table, shown
from benchmarks.models import MINILM, Prepared, dynamic_int8, plain_graph, prepare

PEER, OURS = "text-embeddings-inference", "warmstart"
VARIANTS = ("fp32", "int8")
PATH = "/v1/embeddings"
READY_SECONDS = 120
# The lone client's other CPUs are given after a second, and some inferences.
WARMUP_SECONDS = 2.0
START, PSS = "start to first answer, s", "PSS, MB"


@dataclass(frozen=True)
class Case:
    """Requests of ``texts`` texts with ``tokens`` tokens each."""

    texts: int
    tokens: int
    connections: int

    @property
    def name(self) -> str:
        texts = f"{self.texts} x " if self.texts > 1 else ""
        return f"{texts}{self.tokens} tokens, {self.connections} at a time, requests/s"


CASES = (
    *(Case(1, tokens, connections) for tokens in (21, 120) for connections in (1, 16)),
    Case(32, 21, 1),
)


class Options(argparse.Namespace):
    """The command line's choices; ``folder`` keeps the models and logs."""

    binary: Path
    folder: Path
    rounds: int
    seconds: float
    out: Path | None


class Sample(msgspec.Struct, frozen=True):
    """One value of a server in one round."""

    server: str
    variant: str
    what: str
    round: int
    value: float


def request(texts: Sequence[str]) -> bytes:
    """An HTTP request to OpenAI's route, for a connection that stays open."""
    body = json.dumps({"input": list(texts), "model": "m"}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def peer_folder(prepared: Prepared, variant: str, work: Path) -> Path:
    """The model as the peer takes it: the source's settings, and a graph in ``onnx``."""
    folder = work / "tei" / variant
    if not folder.exists():
        shutil.copytree(prepared.source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        plain = plain_graph(prepared, work)
        (folder / "onnx").mkdir()
        if variant == "int8":
            shutil.copy(dynamic_int8(plain), folder / "onnx" / "model.onnx")
        else:
            for path in (plain, plain.with_name(f"{plain.name}.data")):
                shutil.copy(path, folder / "onnx")
    return folder


@dataclass(frozen=True)
class Running:
    """A server that answers, ``seconds`` after its process was started."""

    port: int
    process: psutil.Process
    seconds: float


def rate(port: int, case: Case, body: bytes, warmup: float, seconds: float) -> float:
    """Requests a second of a closed loop.

    Raises:
        ServerFailedError: a request failed.
    """
    outcome = Plan("http", port, [body], case.connections, warmup, seconds).run()
    if outcome.errors:
        raise ServerFailedError(f"{case.name}: {outcome.first_error}")
    return outcome.rate


@contextmanager
def serving(server: str, variant: str, prepared: Prepared, given: Options) -> Iterator[Running]:
    """Start a server, and wait until it answers.

    Raises:
        ServerFailedError: it does not.
    """
    port = free_port()
    if server == OURS:
        command = command_line(prepared.folder, "m", port, free_port(), f"--variant={variant}")
        command.append("--log_level=WARNING")
        path = "/v2/models/m/ready"
    else:
        folder = peer_folder(prepared, variant, given.folder)
        command = [str(given.binary), f"--model-id={folder}", f"--port={port}"]
        command += ["--served-model-name=m", f"--prometheus-port={free_port()}"]
        path = "/health"
    log = given.folder / "logs" / f"{server}-{variant}.log"
    start = time.perf_counter()
    # The peer logs a line a request, unless it is told not to.
    with started(command, log, environment={**os.environ, "LOG_LEVEL": "error"}) as child:
        wait_until_ready(child, port, path, server, log, READY_SECONDS)
        with closing(Http(port)) as http:
            http("POST", PATH, {"input": "a short text", "model": "m"})
        yield Running(port, psutil.Process(child.pid), time.perf_counter() - start)


def measure(
    prepared: Prepared, variant: str, number: int, given: Options, cases: Sequence[Case] = CASES
) -> Iterator[Sample]:
    """Start both servers, load one after the other, and read their memory at the end."""
    maker = prepared.texts()
    with ExitStack() as stack:
        running: dict[str, Running] = {}
        for name in rotated([PEER, OURS], number):
            running[name] = stack.enter_context(serving(name, variant, prepared, given))
            yield Sample(name, variant, START, number, running[name].seconds)
        for case in cases:
            body = request([maker.text(case.tokens, first) for first in range(case.texts)])
            warmup = WARMUP_SECONDS if case.connections == 1 else given.seconds / 2
            for name in rotated([PEER, OURS], number):
                found = rate(running[name].port, case, body, warmup, given.seconds)
                yield Sample(name, variant, case.name, number, found)
        for name, each in running.items():
            yield Sample(name, variant, PSS, number, memory(each.process).pss)


def table(samples: Sequence[Sample]) -> Table:
    """One row for each variant and load."""
    rows = []
    for variant, what in dict.fromkeys((each.variant, each.what) for each in samples):
        here = [each for each in samples if (each.variant, each.what) == (variant, what)]
        peer, ours = (by_round(here, "value", server=name) for name in (PEER, OURS))
        digits = 2 if what == START else 1
        values = [shown(summarize(each.values()), digits=digits) for each in (peer, ours)]
        rows.append([variant, what, *values, shown(ratio(ours, peer), digits=2)])
    return Table("MiniLM over OpenAI's route", ["", "", PEER, OURS, "ratio"], rows)


def main(argv: Sequence[str]) -> int:
    """Measure, print the table, and write the samples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tei", description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="text-embeddings-router")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="keeps the models")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out", type=Path, help="where to write the samples, as JSON")
    given = parser.parse_args(argv, Options())
    given.folder = given.folder.resolve()
    (given.folder / "logs").mkdir(parents=True, exist_ok=True)
    prepared = prepare(MINILM, given.folder)
    samples: list[Sample] = []
    for number in range(given.rounds):
        print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)
        for variant in VARIANTS:
            samples += measure(prepared, variant, number, given)
    print(table(samples).markdown())
    if given.out:
        given.out.write_bytes(msgspec.json.encode(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m benchmarks.cold_start``: the cold-start part, or with ``--target`` starts of pods."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.__main__ import main as run_parts
from benchmarks.harness import machine, report
from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.requests import rest_json
from benchmarks.pods.report import chart, tables
from benchmarks.pods.starts import Process, Target, measure

TARGETS = ("kubernetes", "podman", "process")
TEXT = "I would watch this film again tomorrow."


def main(argv: Sequence[str]) -> int:
    """Measure, print the report and keep it; 1 if a predictor did not start or answer."""
    if not any(argument.partition("=")[0] == "--target" for argument in argv):
        return run_parts(["cold_start", *argv])
    given = _parser().parse_args(argv)
    out = given.out or given.folder / "reports" / time.strftime("%Y%m%d-%H%M%S")
    out.mkdir(parents=True, exist_ok=True)
    try:
        body = json.loads(rest_json([given.text]).body)
        targets = [each for name in given.target for each in _targets_of(name, given, out, body)]
        result = measure(
            targets,
            body,
            iterations=given.iterations,
            answers=given.answers,
            say=_say,
        )
    except ServerFailedError as error:
        _say(f"cold start not measured: {error}")
        return 1
    command = " ".join(["python -m benchmarks.cold_start", *argv])
    described = machine.describe()
    print(report.write(out, described, command, {"pods": result}, [], tables(result)))
    if find_spec("matplotlib") is None:
        _say("no chart: matplotlib is not installed (extra: bench)")
    else:
        chart(result, out)
    _say(f"written to {out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cold_start",
        description="Start a predictor again and again, and say where the time goes.",
    )
    add = parser.add_argument
    add("--target", type=_names, required=True, help=f"{', '.join(TARGETS)}; several take turns")
    add("--iterations", type=int, default=10)
    add("--answers", type=int, default=100, help="after the first (default: 100)")
    add("--text", default=TEXT, help="what the model is asked about")
    add("--folder", type=Path, default=Path(".bench"), help="keeps prepared models")
    add("--out", type=Path, help="folder of the report (default: in --folder)")
    add = parser.add_argument_group("kubernetes").add_argument
    add("--namespace", default="default")
    add("--service", default="sentiment", help="the InferenceService")
    add("--context", help="of kubectl's configuration (default: the current one)")
    add("--port", type=int, default=8080, help="of REST in the pod")
    add("--direct", action="store_true", help="ask the pod itself; from within the cluster")
    about = "NAME=MANIFESTS: create their service anew for each start, instead of deleting a pod"
    add("--apply", type=_pair, action="append", default=[], help=f"{about}; several take turns")
    about = "NAME=COMMAND: run before each start of that target, such as emptying a store"
    add("--before", type=_pair, action="append", default=[], help=about)
    add = parser.add_argument_group("podman").add_argument
    overlay, about = Path("manifests/overlays/pvc"), "a kustomization, or a rendered file"
    add("--manifests", type=Path, default=overlay, help=f"{about} (default: %(default)s)")
    add("--image", type=_pair, action="append", default=[], help="NAME=REFERENCE, of a local image")
    add = parser.add_argument_group("process").add_argument
    add("--model-dir", type=Path, help="a prepared model (default: MiniLM)")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names).difference(TARGETS):
        raise argparse.ArgumentTypeError(f"{unknown.pop()}: choose from {', '.join(TARGETS)}")
    return list(dict.fromkeys(names))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text}: it has the form NAME=VALUE")
    return name, value


def _targets_of(name: str, given: argparse.Namespace, out: Path, body: Any) -> Sequence[Target]:
    if name == "kubernetes":
        return _of_cluster(given, body)
    return [_target(name, given, out)]


def _of_cluster(given: argparse.Namespace, body: Any) -> Sequence[Target]:
    from benchmarks.pods.applied import Applied
    from benchmarks.pods.kserve import service_of
    from benchmarks.pods.kubernetes import Kubernetes, connect

    api = connect(given.context)
    if not given.apply:
        return [Kubernetes(api, given.namespace, given.service, given.direct, given.port)]
    before = dict(given.before)
    return [
        Applied(
            api,
            given.namespace,
            name,
            service_of(Path(manifests)),
            body,
            given.direct,
            before.get(name, ""),
        )
        for name, manifests in given.apply
    ]


def _target(name: str, given: argparse.Namespace, out: Path) -> Target:
    if name == "podman":
        from benchmarks.pods.kserve import service_pod
        from benchmarks.pods.podman import Podman

        service, pod = service_pod(given.manifests)
        return Podman(pod, service, dict(given.image))
    from benchmarks.models import MINILM, prepare

    _say("compiling modules without byte code")
    machine.ensure_compiled()
    return Process(given.model_dir or prepare(MINILM, given.folder.resolve()).folder, out)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

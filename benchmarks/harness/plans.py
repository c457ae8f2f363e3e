"""Child processes that take a plan on stdin and give an outcome on stdout, both in MessagePack."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

# Where python -m finds benchmarks.
ROOT = Path(__file__).parents[2]
T = TypeVar("T")


class ChildFailedError(RuntimeError):
    """A child process ended with an error; the message has what it wrote to stderr."""


def run_child(
    module: str, plan: msgspec.Struct, outcome: type[T], environment: Mapping[str, str] = os.environ
) -> T:
    """Run ``python -m module`` with a plan and wait for its outcome.

    Raises:
        ChildFailedError: the process failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=msgspec.msgpack.encode(plan),
        capture_output=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise ChildFailedError(f"{module} failed:\n{done.stderr.decode()}")
    return msgspec.msgpack.decode(done.stdout, type=outcome)


def serve_child(plans: Any, run: Callable[[Any], Any]) -> None:
    """Read one plan of the type ``plans``, run it and write its outcome: the child's side."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=plans)
    sys.stdout.buffer.write(msgspec.msgpack.encode(run(plan)))

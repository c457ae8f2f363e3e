"""Runs one step in a process of its own, which frees the hundreds of megabytes of PyTorch."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.preparation.process import debugging, describe_unexpected, peak_bytes
from pipeline.recipe import recipe as recipes
from pipeline.workspace.workspace import Workspace
from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from pipeline.recipe.recipe import Recipe


class ChildError(WarmstartError):
    """The step failed in its process, or the process died; the message is one to print."""


class Result(msgspec.Struct, frozen=True):
    """What a step said and its peak memory in bytes, or why it failed."""

    detail: str = ""
    peak_bytes: int = 0
    error: str | None = None


def run_step(step: str, workspace: Workspace, recipe: Recipe) -> str:
    """Import a step's module and run its function; returns what the step says."""
    said: str = getattr(import_module(f"pipeline.steps.{step}"), step)(workspace, recipe)
    return said


def run_in_child(step: str, workspace: Workspace, recipe: Recipe, lock: int) -> tuple[str, int]:
    """Run a step in a new process; returns what it says, and its peak memory in bytes.

    ``lock``: a locked file handle that the process keeps open, even if this one is killed.

    Raises:
        ChildError: the step failed, or its process died.
    """
    with ThreadPoolExecutor(1) as pool:
        # Meanwhile this process imports the libraries of the next steps.
        pool.submit(import_module, "pipeline.steps.optimize")
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.preparation.child", step, str(workspace.root)],
            input=recipe.to_json().encode(),
            stdout=subprocess.PIPE,
            stderr=None if debugging() else subprocess.DEVNULL,
            pass_fds=[lock],
            env=os.environ | {"TMPDIR": tempfile.gettempdir()},
            check=False,
        )
    try:
        result = msgspec.json.decode(done.stdout, type=Result)
    except msgspec.MsgspecError:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        hint = ", out of memory?" if done.returncode == -signal.SIGKILL else ""
        raise ChildError(f"its process ended with {how}{hint}") from None
    if result.error is not None:
        raise ChildError(result.error)
    return result.detail, result.peak_bytes


def _main(step: str, root: str) -> None:
    # Looking for garbage among the million objects of PyTorch takes a sixth of the time.
    gc.set_threshold(100_000)
    recipe = recipes.from_json(sys.stdin.buffer.read().decode())
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the result
            result = Result(run_step(step, Workspace(Path(root)), recipe), peak_bytes())
    except WarmstartError as error:
        result = Result(error=str(error))
    except Exception as error:  # noqa: BLE001 - the process that waits raises it
        traceback.print_exc()
        result = Result(error=describe_unexpected(error))
    print(msgspec.json.encode(result).decode())  # noqa: T201


if __name__ == "__main__":
    _main(*sys.argv[1:])

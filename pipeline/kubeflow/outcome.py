"""How a run on Kubeflow ended, left beside its workspace for the pipeline's exit handler.

KFP tells an exit handler that a task failed, but not what the task said about it.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.preparation.progress import Lines, StepError
from pipeline.preparation.runner import Preparation
from pipeline.recipe import recipe as recipes
from pipeline.workspace.workspace import Workspace
from storage_init.base.errors import WarmstartError
from storage_init.base.progress_lines import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator


class RunOutcome(msgspec.Struct, frozen=True):
    """``detail``: the folder of the version, or why there is none."""

    state: Literal["published", "already prepared", "failed"]
    detail: str


def write(workspace: Path, outcome: RunOutcome) -> None:
    """Write the outcome beside a workspace; it replaces that of an earlier try."""
    path = _path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(outcome))


def pop(workspace: Path) -> RunOutcome | None:
    """Read and remove the outcome beside a workspace; None if a step died before it wrote one."""
    path = _path(workspace)
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunOutcome)
    except (OSError, msgspec.MsgspecError):
        return None
    finally:
        path.unlink(missing_ok=True)


def summarize(source: str, name: str, workspace: Path, state: str, error: str) -> str:
    """Say in Markdown how a run ended, from what its steps left and what KFP says of them.

    Args:
        source: the model's source, as the run was given it.
        name: the model's name.
        workspace: the run's.
        state: KFP's word for how the steps went.
        error: what KFP says went wrong; it may be empty.
    """
    outcome = pop(workspace)
    if outcome is None:
        why = error or "a step ended without a word: it was stopped, or had too little memory"
        outcome = RunOutcome("failed", f"{why} (KFP: {state}). Its log may say more")
    return f"## {name}: {outcome.state}\n\n- source: `{source}`\n\n```\n{outcome.detail}\n```\n"


@contextmanager
def component(workspace: str, recipe: str) -> Iterator[Preparation]:
    """Give a KFP component its preparation; a failure is printed, and left for the exit handler.

    Raises:
        SystemExit: in place of an error that a person can act on. Any other error passes, so that
            the component's log has its traceback.
    """
    root = Path(workspace)
    try:
        yield Preparation(Workspace(root), recipes.from_json(recipe), Lines(sys.stdout))
    except Exception as error:
        foreseen = isinstance(error, WarmstartError)
        said = str(error) if foreseen else f"{type(error).__name__}: {error}"
        write(root, RunOutcome("failed", said))
        print(f"{FAILED} {said}", flush=True)  # noqa: T201 - the component's log
        if not foreseen or (isinstance(error, StepError) and error.unexpected):
            raise
        raise SystemExit(1) from error


def _path(workspace: Path) -> Path:
    return workspace.with_name(f"{workspace.name}.outcome.json")

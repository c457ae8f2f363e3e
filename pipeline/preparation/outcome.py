"""How a preparation ended, where the pipeline's exit handler finds it: beside the workspace.

KFP tells an exit handler that a task failed, but not what the task had to say about it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.preparation.progress import say
from storage_init.base.errors import WarmstartError
from storage_init.fetch.preparing import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Outcome(msgspec.Struct, frozen=True):
    """``detail``: the folder of the version, or why there is none."""

    state: Literal["published", "already prepared", "failed"]
    detail: str


def leave(workspace: Path, outcome: Outcome) -> None:
    """Write it where :func:`collect` looks; one of an earlier try is replaced."""
    path = _path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(outcome))


def collect(workspace: Path) -> Outcome | None:
    """The outcome left for a workspace, which is gone then; None if a step died without a word."""
    path = _path(workspace)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Outcome)
    except (OSError, msgspec.MsgspecError):
        return None
    finally:
        path.unlink(missing_ok=True)


def summarize(source: str, name: str, workspace: Path, state: str, error: str) -> str:
    """How a run ended, in Markdown, from what its steps left and what KFP says of them.

    Args:
        source: of the model, as it was asked for.
        name: of the model.
        workspace: of the run.
        state: KFP's word for how the steps went.
        error: KFP's words for what went wrong, perhaps none.
    """
    outcome = collect(workspace)
    if outcome is None:
        why = error or "a step ended without a word: it was stopped, or had too little memory"
        outcome = Outcome("failed", f"{why} (KFP: {state}). Its log may say more")
    return f"## {name}: {outcome.state}\n\n- source: `{source}`\n\n```\n{outcome.detail}\n```\n"


@contextmanager
def component(workspace: Path) -> Iterator[None]:
    """Around a KFP component's work: what fails is written down, and one line if it can be.

    Raises:
        SystemExit: in the place of an error that a person can act on.
    """
    try:
        yield
    except WarmstartError as error:
        leave(workspace, Outcome("failed", str(error)))
        say(f"{FAILED} {error}")
        raise SystemExit(1) from error
    except Exception as error:
        leave(workspace, Outcome("failed", f"{type(error).__name__}: {error}"))
        raise


def _path(workspace: Path) -> Path:
    return workspace.with_name(f"{workspace.name}.outcome.json")

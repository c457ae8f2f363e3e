"""What KFP's pages show of a run: how it ended, and its evaluation.

KFP tells the exit handler that a task failed, but not what the task said about it. So each step
leaves its outcome beside the workspace.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.kubeflow import run_folder
from pipeline.kubeflow.run_folder import RunIdentity
from pipeline.preparation.progress import Lines, StepError
from pipeline.preparation.runner import Preparation
from pipeline.recipe import recipe as recipes
from pipeline.rollout.rollout import Plan, Rollout
from pipeline.rollout.service import Service
from pipeline.workspace import evidence
from pipeline.workspace.evidence import Evaluation
from pipeline.workspace.workspace import Workspace
from storage_init.base.errors import WarmstartError
from storage_init.base.files import share_with_group
from storage_init.base.logs import FAILED
from storage_init.store.layout import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfp import dsl


class RunOutcome(msgspec.Struct, frozen=True):
    """``detail``: the folder of the version, or why there is none."""

    state: Literal["published", "published, not rolled out", "already prepared", "failed"]
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
    """Say in Markdown how a run ended, from the outcome its steps left and KFP's own words.

    ``state`` is KFP's word for how the steps went, ``error`` its message, which may be empty.
    """
    outcome = pop(workspace)
    if outcome is None:
        why = error or "a step ended without a word: it was stopped, or had too little memory"
        outcome = RunOutcome("failed", f"{why} (KFP: {state}). Its log may say more")
    return f"## {name}: {outcome.state}\n\n- source: `{source}`\n\n```\n{outcome.detail}\n```\n"


@dataclass(frozen=True)
class ComponentStep:
    """One step of a run: its preparation, the store, and the run's folder in it."""

    preparation: Preparation
    store: Store
    folder: Path
    identity: RunIdentity

    def claim(self) -> None:
        """Make the folder this run's."""
        run_folder.claim(self.folder, self.identity)

    def leave(self, outcome: RunOutcome) -> None:
        """Leave the run's outcome for the exit handler."""
        write(self.folder, outcome)


@contextmanager
def component(
    source: str, name: str, recipe: str, store: str, run: str, revision: str | None = None
) -> Iterator[ComponentStep]:
    """Give a KFP component its step; a failure is printed, and left for the exit handler.

    ``revision`` is the one that the first step has pinned; with it, the run's folder is checked.

    Raises:
        SystemExit: in place of an error that a person can act on. Any other error passes, so that
            the component's log has its traceback.
    """
    folder = run_folder.folder_of(Path(store), run)
    try:
        read = recipes.from_json(recipe)
        share_with_group(Path(store))
        work = Workspace(folder)
        identity = RunIdentity(run, source, name, read.digest)
        if revision is not None:
            run_folder.check(folder, identity)
            run_folder.check_revision(work, revision)
        preparation = Preparation(work, read, Lines(sys.stdout))
        yield ComponentStep(preparation, Store(Path(store)), folder, identity)
    except Exception as error:
        foreseen = isinstance(error, WarmstartError)
        said = str(error) if foreseen else f"{type(error).__name__}: {error}"
        write(folder, RunOutcome("failed", said))
        print(f"{FAILED} {said}", flush=True)  # noqa: T201 - the component's log
        if not foreseen or (isinstance(error, StepError) and error.unexpected):
            raise
        raise SystemExit(1) from error


def roll_out(name: str, store: Path, run: str, service: str, version: Path, canary: int) -> str:
    """Bring a service, ``namespace/name``, to a version, a folder of the store; returns its name.

    Raises:
        SystemExit: the version failed; the old one was put back, and the exit handler will say so.
    """
    namespace, _, isvc = service.partition("/")
    plan = Plan(name, version.name, canary=canary)
    try:
        Rollout(Service(namespace, isvc), Store(store), plan, print).run()
    except Exception as error:
        said = str(error) if isinstance(error, WarmstartError) else repr(error)
        outcome = RunOutcome("published, not rolled out", f"{version}\n{said}")
        write(run_folder.folder_of(store, run), outcome)
        print(f"{FAILED} {said}", flush=True)  # noqa: T201 - the component's log
        if not isinstance(error, WarmstartError):
            raise
        raise SystemExit(1) from error
    return version.name


def log_evaluation(
    work: Workspace, metrics: dsl.Metrics, confusion: dsl.ClassificationMetrics
) -> None:
    """Log each variant's measures, and the fastest one's confusion matrix if there are labels."""
    evaluation = msgspec.json.decode(work.evaluation.read_bytes(), type=Evaluation)
    speeds = {name: found.speed for name, found in evaluation.measured.variants.items()}
    for variant in evaluation.accepted:
        close = variant.closeness
        measures = {
            "worst cosine": close.worst_cosine,
            "worst probability difference": close.worst_probability_difference,
            "label agreement": close.label_agreement,
            "batch sensitivity": variant.batch_sensitivity.largest_move,
            "ms a text alone": speeds[variant.name].alone_ms,
            "ms a text in a batch": speeds[variant.name].batched_ms,
        }
        for measure, value in measures.items():
            if value is not None:
                metrics.log_metric(f"{variant.name} {measure}", value)
    metrics.log_metric("variants rejected", float(len(evaluation.rejected)))
    found = evidence.read(work.evidence)
    fastest = min(evaluation.accepted, key=lambda variant: speeds[variant.name].alone_ms)
    measured = found.variant(fastest.name).on_evaluation_data
    if measured is not None and measured.scores is not None:
        confusion.log_confusion_matrix(found.labels, measured.scores.confusion)


def _path(workspace: Path) -> Path:
    return workspace.with_name(f"{workspace.name}.outcome.json")

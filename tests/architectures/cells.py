"""One row of the table: an architecture's tiny models are prepared, served and compared."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from benchmarks.harness.process import Predictor, predictor
from benchmarks.models import PreparationError
from pipeline.preparation.progress import Lines
from pipeline.preparation.runner import prepare
from pipeline.recipe.recipe import Bench, Recipe
from pipeline.workspace import evidence
from storage_init import sources
from storage_init.base.errors import WarmstartError
from storage_init.format.package import EVIDENCE_FILE, Closeness
from storage_init.store.layout import Store
from tests.architectures import graphs, models
from tests.architectures.graphs import Counts
from tests.architectures.tasks import TASKS, TOLERANCE, RequestRefusedError
from tests.support.clients.waiting import wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.architectures.catalogue import Architecture
    from tests.architectures.models import Head
    from tests.architectures.tasks import Answers

# Speeds of models this small say nothing: one is measured, because a package states it.
RECIPE = Recipe(bench=Bench(tokens=(8,), rounds=1))
_STEP = re.compile(r"^\[\d/\d\] \w+\s+")
# equal: fp32 answers as the original does. refused: nothing was published, with ``why`` as the
# message. absent: there is no such model.
State = Literal["equal", "differs", "refused", "absent"]


class Int8(msgspec.Struct, frozen=True):
    """int8 on the self-test's texts; ``missed`` names limits, None if int8 is published."""

    closeness: Closeness
    missed: str | None


class Cell(msgspec.Struct, frozen=True):
    """An architecture and a task: ``largest`` is the largest difference over all ``texts``.

    ``kinds`` counts the different answers; a single one would prove little. ``graph`` counts
    the nodes of what is published as fp32.
    """

    state: State
    why: str | None = None
    texts: int = 0
    kinds: int = 0
    largest: float | None = None
    int8: Int8 | None = None
    graph: Counts | None = None


class Row(msgspec.Struct, frozen=True):
    """An architecture's cells by task; ``seconds`` is how long they took."""

    name: str
    model_type: str
    cells: dict[str, Cell]
    seconds: float


@dataclass(frozen=True)
class _Made:
    """A model's folder, the log of its preparation, and its version or the cell without one."""

    folder: Path
    log: Path
    outcome: Path | Cell


def measure(
    architecture: Architecture, tasks: Sequence[str], work: Path, *, by_command: bool = True
) -> Row:
    """Make the models that ``tasks`` need, prepare and serve them, ask, and compare.

    Args:
        architecture: of the catalogue.
        tasks: names of ``TASKS``.
        work: a folder of the architecture's own, which is emptied.
        by_command: prepare the first model by the command, as a person would. The others take the
            same pipeline within this process, which is quicker and proves as much.
    """
    start = time.monotonic()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    store = work / "store"
    made: dict[Head, _Made] = {}
    for head in dict.fromkeys(TASKS[task].head for task in tasks):
        made[head] = _make(architecture, head, work, store, by_command=by_command and not made)
    cells = _compare_all(made, tasks, work, store)
    return Row(architecture.name, architecture.model_type, cells, time.monotonic() - start)


def _make(
    architecture: Architecture, head: Head, work: Path, store: Path, *, by_command: bool
) -> _Made:
    folder, log = work / "models" / head, work / f"{head}.log"
    try:
        folder = models.make(architecture, head, folder)
    except models.NoSuchModelError:
        return _Made(folder, log, Cell("absent"))
    prepare = prepare_by_command if by_command else prepare_here
    try:
        return _Made(folder, log, prepare(folder, head, store, log))
    except WarmstartError as error:
        if (store / "models" / head).exists():
            raise
        return _Made(folder, log, Cell("refused", one_line(str(error), work)))


def prepare_here(folder: Path, name: str, store: Path, log: Path) -> Path:
    """Prepare a model in this process and return the folder of its version.

    Raises:
        WarmstartError: the model was refused.
    """
    source = sources.resolve(folder.as_uri())
    with log.open("w") as progress:
        return prepare(source, name, Store(store), RECIPE, Lines(progress)).folder


def prepare_by_command(folder: Path, name: str, store: Path, log: Path) -> Path:
    """Prepare a model by the command and return the folder of its version.

    Raises:
        WarmstartError: a step refused the model, with this message.
        PreparationError: the command failed in another way.
    """
    command = [sys.executable, "-m", "pipeline", "run", f"--source={folder.as_uri()}"]
    command += [f"--name={name}", f"--store={store}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    log.write_text(done.stderr)
    message = done.stderr.rpartition("error: ")[2].strip()
    if done.returncode and not _STEP.match(message):
        raise PreparationError(f"{name} was not prepared:\n{done.stderr}")
    if done.returncode:
        raise WarmstartError(message)
    return Store(store).resolve(name)


def one_line(message: str, work: Path) -> str:
    """A message without this machine's paths and without the name of its step."""
    told = _STEP.sub("", message)
    return " ".join(told.replace(f"{work}/", "").split())


def _compare_all(
    made: dict[Head, _Made], tasks: Sequence[str], work: Path, store: Path
) -> dict[str, Cell]:
    outcomes = {task: made[TASKS[task].head].outcome for task in tasks}
    cells = {task: cell for task, cell in outcomes.items() if isinstance(cell, Cell)}
    if len(cells) < len(tasks):
        name = next(head for head, each in made.items() if isinstance(each.outcome, Path))
        flags = (f"--models_dir={store}", "--variant=fp32")
        with predictor(store, work / "predictor.log", *flags, name=name) as server:
            wait_until_ready(server)
            for task, published in outcomes.items():
                if isinstance(published, Path):
                    cells[task] = _compare(task, made[TASKS[task].head], published, server)
    return {task: cells[task] for task in tasks}


def _compare(task: str, made: _Made, published: Path, server: Predictor) -> Cell:
    asked = TASKS[task]
    want = asked.ask_original(made.folder)
    try:
        got = asked.ask(replace(server, name=asked.head), made.folder)
        why, largest = difference(got, want)
    except RequestRefusedError as error:
        why, largest = f"refused by the predictor: {error}", None
    int8 = evidence.read(published / EVIDENCE_FILE).variant("int8")
    return Cell(
        state="differs" if why else "equal",
        why=why,
        texts=len(want.exact),
        kinds=want.kinds,
        largest=largest,
        int8=Int8(int8.closeness, int8.reason) if int8.closeness else None,
        graph=graphs.count(published / "fp32"),
    )


def difference(got: Answers, want: Answers) -> tuple[str | None, float | None]:
    """The first text with another answer, and the largest difference of all numbers."""
    moves = [0.0]
    for place, (one, other) in enumerate(zip(got.exact, want.exact, strict=True)):
        if one != other:
            return f"text {place}: {one} instead of {other}", None
    for ours, theirs in zip(got.numbers, want.numbers, strict=True):
        moves += np.abs(np.subtract(ours, theirs)).tolist()
    largest = float(np.max(moves))  # NaN if any of them is
    if not largest <= TOLERANCE:
        return f"a number is {largest:.2g} off", largest
    return None, largest

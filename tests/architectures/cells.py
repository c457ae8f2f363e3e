"""One architecture from its tiny models to its row of the table: prepared, served, compared."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from benchmarks.harness.process import Predictor, predictor
from benchmarks.prepared import PreparationError
from pipeline.preparation.progress import Lines
from pipeline.preparation.runner import prepare
from pipeline.recipe.recipe import Recipe
from pipeline.workspace import evidence
from storage_init import sources
from storage_init.base.errors import WarmstartError
from storage_init.format.package import EVIDENCE_FILE, Closeness
from storage_init.store.layout import Store
from tests.architectures import models
from tests.architectures.tasks import TASKS, TOLERANCE, RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.architectures.catalogue import Architecture
    from tests.architectures.models import Head
    from tests.architectures.tasks import Answers

READY_SECONDS = 60
_STEP = re.compile(r"^\[\d/\d\] \w+\s+")
# equal: fp32 answers as the original does. refused: nothing was published, ``why`` is the message.
# absent: there is no such model.
State = Literal["equal", "differs", "refused", "absent"]


class Int8(msgspec.Struct, frozen=True):
    """int8 on the self-test's texts; ``missed``: its limits, None if it is published."""

    closeness: Closeness
    missed: str | None


class Cell(msgspec.Struct, frozen=True):
    """An architecture and a task. ``largest``: difference of a number, over all ``texts``.

    ``kinds``: how many different answers there were, of which one alone would prove little.
    ``fused``: the operators that ONNX Runtime's fusions made.
    """

    state: State
    why: str | None = None
    texts: int = 0
    kinds: int = 0
    largest: float | None = None
    int8: Int8 | None = None
    fused: str | None = None


class Row(msgspec.Struct, frozen=True):
    """An architecture's cells by task; ``seconds`` is what all of it took."""

    name: str
    model_type: str
    cells: dict[str, Cell]
    seconds: float


@dataclass(frozen=True)
class _Made:
    """A model's folder, what its preparation had to say, and its version, or why there is none."""

    folder: Path
    log: Path
    published: Path | None
    refusal: Cell | None


def measure(
    architecture: Architecture, tasks: Sequence[str], work: Path, *, by_command: bool = True
) -> Row:
    """Make the models that ``tasks`` need, prepare and serve them, ask, and compare.

    Args:
        architecture: of the catalogue.
        tasks: names of ``TASKS``.
        work: a folder of the architecture's own, which is emptied.
        by_command: prepare the first model as a person would, by the command. The others take the
            same pipeline within this process: to start Python and torch for each proves no more.
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
        return _Made(folder, log, None, Cell("absent"))
    prepare = prepare_by_command if by_command else prepare_here
    try:
        return _Made(folder, log, prepare(folder, head, store, log), None)
    except WarmstartError as error:
        if (store / "models" / head).exists():
            raise
        return _Made(folder, log, None, Cell("refused", one_line(str(error), work)))


def prepare_here(folder: Path, name: str, store: Path, log: Path) -> Path:
    """Prepare a model in this process; the folder of its version.

    Raises:
        WarmstartError: it was refused.
    """
    source = sources.resolve(folder.as_uri())
    with log.open("w") as progress:
        return prepare(source, name, Store(store), Recipe(), Lines(progress)).folder


def prepare_by_command(folder: Path, name: str, store: Path, log: Path) -> Path:
    """Prepare a model by the command; the folder of its version.

    Raises:
        WarmstartError: it was refused; the message is that of the step that did.
        PreparationError: the command failed otherwise.
    """
    command = [sys.executable, "-m", "pipeline", "run", f"--source={folder.as_uri()}"]
    done = subprocess.run(
        [*command, f"--name={name}", f"--store={store}"],
        capture_output=True,
        text=True,
        check=False,
    )
    log.write_text(done.stderr)
    message = done.stderr.rpartition("error: ")[2].strip()
    if done.returncode and not _STEP.match(message):
        raise PreparationError(f"{name} was not prepared:\n{done.stderr}")
    if done.returncode:
        raise WarmstartError(message)
    return Store(store).resolve(name)


def one_line(message: str, work: Path) -> str:
    """A message without this machine's paths and the step that it is of."""
    told = _STEP.sub("", message)
    return " ".join(told.replace(f"{work}/", "").split())


def _compare_all(
    made: dict[Head, _Made], tasks: Sequence[str], work: Path, store: Path
) -> dict[str, Cell]:
    cells = {task: cell for task in tasks if (cell := made[TASKS[task].head].refusal)}
    served = [task for task in tasks if task not in cells]
    if served:
        names = [head for head, each in made.items() if each.published]
        flags = (f"--models_dir={store}", "--variant=fp32")
        with predictor(store, work / "predictor.log", *flags, name=names[0]) as server:
            for task in served:
                cells[task] = _compare(task, made[TASKS[task].head], server)
    return {task: cells[task] for task in tasks}


def _compare(task: str, made: _Made, server: Predictor) -> Cell:
    asked = TASKS[task]
    named = replace(server, name=asked.head)
    _wait_until_ready(named)
    assert made.published is not None
    want = asked.original(made.folder)
    try:
        why, largest = difference(asked.ask(named, made.folder), want)
    except RequestRefusedError as error:
        why, largest = f"refused by the predictor: {error}", None
    return Cell(
        "differs" if why else "equal",
        why,
        len(want.exact),
        want.kinds,
        largest,
        _int8(made.published),
        _fused(made),
    )


def _fused(made: _Made) -> str | None:
    found = re.search(r"optimize .* fused (.*)$", made.log.read_text(), re.MULTILINE)
    return None if found is None else found[1]


def difference(got: Answers, want: Answers) -> tuple[str | None, float | None]:
    """The first text that is answered otherwise, and how far the numbers of all others are off."""
    moves = [0.0]
    for place, (one, other) in enumerate(zip(got.exact, want.exact, strict=True)):
        if one != other:
            return f"text {place}: {one} instead of {other}", None
    for ours, theirs in zip(got.numbers, want.numbers, strict=True):
        moves += np.abs(np.subtract(ours, theirs)).tolist()
    largest = float(np.max(moves))  # of which one that is no number is the largest
    if not largest <= TOLERANCE:
        return f"a number is {largest:.2g} off", largest
    return None, largest


def _wait_until_ready(server: Predictor) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not server.http.get(f"/v2/models/{server.name}/ready").is_success:
        if time.monotonic() > deadline:
            raise TimeoutError(server.http.post("/v2/repository/index").text)
        time.sleep(0.02)


def _int8(published: Path) -> Int8 | None:
    found = evidence.read(published / EVIDENCE_FILE).variant("int8")
    return None if found.closeness is None else Int8(found.closeness, found.reason)

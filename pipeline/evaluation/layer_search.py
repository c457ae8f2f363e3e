"""Finding the nodes that 8 bits hurt most, and leaving out as few of them as the gate asks for.

Each node's damage is how far answers move with it alone in 8 bits; the worst are left out together.
Source: Nvidia, "Integer Quantization for Deep Learning Inference" (Wu et al., 2020), partial
quantization by a sensitivity analysis of single layers.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation.candidate import Candidate
from pipeline.graphs import files as graphs
from pipeline.graphs.quantization import int8 as quantized
from pipeline.workspace.evidence import Damage, LayerSearch, Trial, finite
from pipeline.workspace.workspace import GRAPH
from storage_init.format.selftest import distances
from storage_init.running.runtime import open_session, run_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnxruntime as ort
    from numpy.typing import NDArray

    from pipeline.evaluation.baseline import Measured, Yardstick
    from pipeline.evaluation.examples import Batch
    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace

# Texts that damage is measured on.
PROBES = 32


def search(
    workspace: Workspace, recipe: Recipe, yardstick: Yardstick
) -> tuple[LayerSearch, Measured | None]:
    """Write an ``int8`` that passes its gate, if leaving out a few nodes makes one.

    If the most that may be left out does not help, int8 stays as it is; else the fewest are
    sought by halves. The same graph, texts and recipe have the same end on one kind of CPU.

    Returns:
        What was found, and how the new variant measures; None if nothing helped.
    """
    damages = rank(workspace, recipe, yardstick)
    worst = [damage.node for damage in damages if damage.distance > 0]
    trials: list[Trial] = []
    passed: dict[int, Measured] = {}
    written = 0

    def passes(count: int) -> bool:
        nonlocal written
        quantized.write_int8(workspace, recipe, worst[:count])
        written = count
        candidate = Candidate.open(workspace, recipe, "int8", yardstick.batches)
        measured = yardstick.measure(candidate, recipe.gate("int8"))
        trials.append(Trial(count, measured.failure))
        if measured.failure is None:
            passed[count] = measured
        return measured.failure is None

    set_aside(workspace)
    fewest = _fewest(min(recipe.int8.search.max_excluded, len(worst)), passes)
    if fewest is None:
        put_back(workspace)
        return LayerSearch(damages, trials, []), None
    if written != fewest:
        quantized.write_int8(workspace, recipe, worst[:fewest])
    return LayerSearch(damages, trials, worst[:fewest]), passed[fewest]


def _fewest(most: int, passes: Callable[[int], bool]) -> int | None:
    """The fewest from 1 to ``most`` that pass, if more never fail where fewer pass."""
    if most < 1 or not passes(most):
        return None
    too_few, enough = 0, most
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if passes(middle):
            enough = middle
        else:
            too_few = middle
    return enough


def rank(workspace: Workspace, recipe: Recipe, yardstick: Yardstick) -> list[Damage]:
    """Every product and table with its damage, the worst first, equals in the graph's order."""
    encodings = yardstick.selftest.encodings
    if yardstick.evaluation is not None:
        encodings = [*encodings, *yardstick.evaluation.encodings]
    editor, left_out = quantized.opened(workspace.fused / GRAPH, recipe.int8.exclude)
    names = quantized.add_switches(editor, left_out, recipe.int8.weight_bits)
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix="switches-") as scratch:
        graphs.save(editor.model, Path(scratch) / GRAPH)
        del editor
        session = open_session(Path(scratch) / GRAPH)
        inputs = [node.name for node in session.get_inputs() if node.name != quantized.SWITCHES]
        texts = [yardstick.batches.make([one], inputs) for one in encodings[:PROBES]]
        plain = _answers(session, texts, np.zeros(len(names), dtype=bool))
        damages = []
        for index, name in enumerate(names):
            only = np.arange(len(names)) == index
            far = distances(yardstick.task, _answers(session, texts, only), plain)
            damages.append(Damage(name, finite(float(far.mean()))))
    return sorted(damages, key=lambda damage: -damage.distance)


def _answers(
    session: ort.InferenceSession, texts: list[Batch], switches: NDArray[Any]
) -> NDArray[Any]:
    rows = [
        run_rows(session, {**text.feeds, quantized.SWITCHES: switches}, text.places)
        for text in texts
    ]
    return np.concatenate(rows)


def set_aside(workspace: Workspace) -> None:
    """Keep the ``int8`` of the quantize step until the search is over."""
    folder = workspace.graph("int8").parent
    folder.rename(_aside(workspace))


def put_back(workspace: Workspace) -> None:
    """Bring back what was set aside, also by a search that was interrupted."""
    if _aside(workspace).exists():
        folder = workspace.graph("int8").parent
        shutil.rmtree(folder, ignore_errors=True)
        _aside(workspace).rename(folder)


def forget(workspace: Workspace) -> None:
    """Drop what was set aside, once what replaced it is on record."""
    shutil.rmtree(_aside(workspace), ignore_errors=True)


def _aside(workspace: Workspace) -> Path:
    return workspace.root / "int8-before-search"

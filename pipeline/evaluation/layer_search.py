"""Find the nodes that 8 bits damage most, and leave out as few as the gate requires.

A node's damage is the distance that answers move when only this node is in 8 bits; the worst nodes
are left out together. Source: Wu et al., "Integer Quantization for Deep Learning Inference" (2020),
partial quantization by a sensitivity analysis of single layers.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation.candidate import Candidate
from pipeline.graphs import files as graphs
from pipeline.graphs.quantization import int8
from pipeline.workspace.evidence import Damage, LayerSearch, Trial, finite
from pipeline.workspace.workspace import GRAPH
from storage_init.format.selftest import distances
from storage_init.running.session import open_session, run_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnxruntime as ort
    from numpy.typing import NDArray

    from pipeline.evaluation.baseline import Baseline, Measured
    from pipeline.evaluation.examples import Batch
    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace

# The number of texts to measure damage on.
PROBES = 32


def search(
    workspace: Workspace, recipe: Recipe, baseline: Baseline
) -> tuple[LayerSearch, Measured | None]:
    """Write an ``int8`` that passes its gate by leaving out a few nodes.

    The first trial leaves out as many nodes as allowed. If it fails, int8 stays as it is; if it
    passes, a binary search finds the fewest. The same graph, texts and recipe give the same result
    on one kind of CPU.

    Returns:
        The search, and the new variant's measurements, None if nothing helped.
    """
    damages = rank(workspace, recipe, baseline)
    worst = [damage.node for damage in damages if damage.distance > 0]
    trials: list[Trial] = []
    passed: dict[int, Measured] = {}

    def passes(count: int) -> bool:
        int8.write_int8(workspace, recipe, worst[:count])
        candidate = Candidate.open(workspace, recipe, "int8", baseline.batches)
        measured = baseline.measure(candidate, recipe.gate("int8"))
        trials.append(Trial(count, measured.failure))
        if measured.failure is None:
            passed[count] = measured
        return measured.failure is None

    workspace.graph("int8").parent.rename(_aside(workspace))
    fewest = _fewest(min(recipe.int8.search.max_excluded, len(worst)), passes)
    if fewest is None:
        put_back(workspace)
        return LayerSearch(damages, trials, []), None
    if trials[-1].excluded != fewest:
        int8.write_int8(workspace, recipe, worst[:fewest])
    return LayerSearch(damages, trials, worst[:fewest]), passed[fewest]


def _fewest(most: int, passes: Callable[[int], bool]) -> int | None:
    """The lowest count from 1 to ``most`` that passes, if every higher count passes, too."""
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


def rank(workspace: Workspace, recipe: Recipe, baseline: Baseline) -> list[Damage]:
    """Every product and table with its damage, the worst first, ties in the graph's order."""
    encodings = baseline.selftest.encodings
    if baseline.evaluation is not None:
        encodings = [*encodings, *baseline.evaluation.encodings]
    editor, left_out = int8.open_attentions(workspace.fused / GRAPH, recipe.int8.exclude)
    names = int8.add_switches(editor, left_out, recipe.int8.weight_bits)
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix="switches-") as scratch:
        graphs.save(editor.model, Path(scratch) / GRAPH)
        del editor
        session = open_session(Path(scratch) / GRAPH)
        inputs = [node.name for node in session.get_inputs() if node.name != int8.SWITCHES]
        texts = [baseline.batches.make([one], inputs) for one in encodings[:PROBES]]
        plain = _answers(session, texts, np.zeros(len(names), dtype=bool))
        damages = []
        for index, name in enumerate(names):
            only = np.arange(len(names)) == index
            far = distances(baseline.task, _answers(session, texts, only), plain)
            damages.append(Damage(name, finite(float(far.mean()))))
    return sorted(damages, key=lambda damage: -damage.distance)


def _answers(
    session: ort.InferenceSession, texts: list[Batch], switches: NDArray[Any]
) -> NDArray[Any]:
    rows = [
        run_rows(session, {**text.feeds, int8.SWITCHES: switches}, text.places) for text in texts
    ]
    return np.concatenate(rows)


def put_back(workspace: Workspace) -> None:
    """Restore the int8 of the quantize step, also after an interrupted search."""
    if _aside(workspace).exists():
        folder = workspace.graph("int8").parent
        shutil.rmtree(folder, ignore_errors=True)
        _aside(workspace).rename(folder)


def forget(workspace: Workspace) -> None:
    """Delete the int8 of the quantize step, once its replacement is on record."""
    shutil.rmtree(_aside(workspace), ignore_errors=True)


def _aside(workspace: Workspace) -> Path:
    """The folder that keeps the int8 of the quantize step during a search."""
    return workspace.root / "int8-before-search"

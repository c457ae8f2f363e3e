"""The table as a page of the documentation; every cell comes from a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness.report import NOTHING, Table
from tests.architectures.graphs import BEFORE
from tests.architectures.tasks import TOLERANCE
from tests.architectures.texts import COUNT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage_init.format.package import Closeness
    from tests.architectures.cells import Cell, Row

_INTRODUCTION = f"""\
# Models

Written by `make bench-architectures`, from what it found; not by hand.

For each architecture and task a tiny model with random weights, of transformers' real classes and
with a tokenizer of the real kind, was prepared with the default recipe, served by a predictor and
asked over REST. Its answers to {COUNT - 2} texts or more (empty, short, odd, longer than it takes)
were compared with those of transformers' pipeline, or of sentence-transformers for embedding and
reranking, a text at a time: labels, words and spans must be equal, and scores within {TOLERANCE:g}.
BERT's first model was prepared by `python -m pipeline run`, the others by the same steps in one
process. MiniLM is the one that people use.

| | |
|---|---|
| int8 | fp32 answers as the original does; int8 came close enough to be published, too |
| fp32 | fp32 answers as the original does; int8 missed its limits and was not published |
| none, with a note | refused with that message, and nothing was published |
| {NOTHING} | there is no such model |

Random weights say little of what int8 costs a trained model: that is measured when it is prepared.
The nodes are those of the embedder's graph that is published as fp32, pooling included; before,
they were those of the same settings with transformers 4.57.6 and optimum-onnx 0.1.0. A sum is a
node of its own today and no longer a part of a layer norm or a GELU, because
[that is faster](benchmarks.md#graphs).
"""


def markdown(rows: Sequence[Row], tasks: Sequence[str], versions: dict[str, str]) -> str:
    """Write the page."""
    notes = _notes(rows)
    states = Table(
        "Architectures and tasks",
        ["", *tasks],
        [[row.name, *(mark(row.cells.get(task), notes) for task in tasks)] for row in rows],
    )
    near = Table(
        "How close, and what was fused",
        [
            "",
            "fp32 from the original",
            "int8 from the original",
            "int8 missed",
            "nodes, embedding",
            "nodes before",
            "fused, embedding",
        ],
        [_closeness(row) for row in rows if any(cell.texts for cell in row.cells.values())],
    )
    used = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [_INTRODUCTION, states.markdown()]
    if notes:
        parts.append("\n".join(f"{number}. {why}" for why, number in notes.items()) + "\n")
    parts += [near.markdown(), f"With {used}.\n"]
    return "\n".join(parts)


def mark(cell: Cell | None, notes: dict[str, int]) -> str:
    """The text of a cell; ``notes`` numbers the reasons."""
    if cell is None:
        return "not run"
    if cell.state == "absent":
        return NOTHING
    note = f" [{notes[cell.why]}]" if cell.why in notes else ""
    if cell.state == "refused":
        return f"none{note}"
    if cell.state == "differs":
        return f"**differs**{note}"
    return "int8" if cell.int8 and not cell.int8.missed else "fp32"


def _notes(rows: Sequence[Row]) -> dict[str, int]:
    reasons = dict.fromkeys(cell.why for row in rows for cell in row.cells.values() if cell.why)
    return {why: number for number, why in enumerate(reasons, 1)}


def _closeness(row: Row) -> list[str]:
    compared = {task: cell for task, cell in row.cells.items() if cell.texts}
    largest = max((c.largest for c in compared.values() if c.largest is not None), default=None)
    missed = {t: c.int8.missed for t, c in compared.items() if c.int8 and c.int8.missed}
    graph = compared["embedding"].graph if "embedding" in compared else None
    return [
        row.name,
        NOTHING if largest is None else f"{largest:.1g}",
        _int8([c.int8.closeness for c in compared.values() if c.int8 and not c.int8.missed]),
        "; ".join(f"{task}: {why}" for task, why in missed.items()),
        NOTHING if graph is None else str(graph.nodes),
        str(BEFORE.get(row.name, NOTHING)),
        NOTHING if graph is None else str(graph),
    ]


def _int8(found: Sequence[Closeness]) -> str:
    """The worst closeness of all tasks."""
    cosines = [close.worst_cosine for close in found if close.worst_cosine is not None]
    agreed = [close.label_agreement for close in found if close.label_agreement is not None]
    parts = [f"cosine {min(cosines):.4f}"] if cosines else []
    parts += [f"agreement {min(agreed):.0%}"] if agreed else []
    return ", ".join(parts) or NOTHING

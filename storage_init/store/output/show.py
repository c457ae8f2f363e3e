"""The text of ``show``: a version's ``package.json`` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_init.base import sizes
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    TextEmbedding,
    TextRanking,
    TokenClassification,
)

if TYPE_CHECKING:
    from storage_init.format.measurements import Measurements, Speed
    from storage_init.format.package import Package, Variant
    from storage_init.format.tasks import Task
    from storage_init.store.inventory import Version


def describe(package: Package, measured: Measurements, survey: Version, age: float) -> str:
    """Return several lines; ``age`` is in seconds since publication."""
    size = sum(file.size for file in package.files)
    current = " (current)" if survey.current else ""
    fields = [
        ("version", f"{survey.version}{current}, {sizes.age(age)} old"),
        ("signed", "yes; verify --key FILE checks the key" if survey.signed else "no"),
        ("task", task_line(package.task)),
        ("source", f"{package.source.uri} at {package.source.revision}"),
        ("licence", package.source.license or "not stated"),
        ("key", package.key),
        ("recipe", package.recipe_digest),
        ("measured", f"on {measured.cpu}" if measured.cpu else "no"),
        ("tools", ", ".join(f"{name} {number}" for name, number in sorted(package.tools.items()))),
        ("max length", f"{package.limits.max_length} tokens"),
        ("inputs", ", ".join(f"{t.name} {t.datatype} {t.shape}" for t in package.inputs)),
        ("outputs", ", ".join(f"{t.name} {t.datatype} {t.shape}" for t in package.outputs)),
        ("size", f"{sizes.size(size)} in {len(package.files)} files"),
    ]
    width = max(len(name) for name, _ in fields)
    variants = sizes.table(
        ("variant", "needs", "ms a text", "tolerance", "moves in a batch"),
        [_variant(variant, measured.speed(variant.name)) for variant in package.variants],
        right=("ms a text", "tolerance", "moves in a batch"),
    )
    files = sizes.table(
        ("file", "size", "sha256"),
        [(file.path, sizes.size(file.size), file.sha256[:16]) for file in package.files],
        right=("size",),
    )
    head = [package.name, *(f"  {name:{width}}  {value}" for name, value in fields)]
    return "\n".join([*head, "", variants, "", files])


def task_line(task: Task) -> str:
    """Return a task in a few words."""
    if isinstance(task, TextEmbedding):
        normalized = ", normalized" if task.normalize else ""
        return f"text-embedding: {task.dimension} values, {task.pooling} pooling{normalized}"
    if isinstance(task, TextRanking):
        return f"text-ranking: {task.activation}"
    if isinstance(task, QuestionAnswering):
        return f"question-answering: windows share {task.stride} tokens"
    if isinstance(task, FillMask):
        return f"fill-mask: {task.mask_token}"
    labels = ", ".join(task.labels[:8]) + (", …" if len(task.labels) > 8 else "")
    listed = f"{len(task.labels)} labels ({labels})"
    if isinstance(task, TokenClassification):
        return f"token-classification: {listed}"
    return f"text-classification: {listed}, {task.activation}"


def _variant(variant: Variant, speed: Speed | None) -> tuple[str, ...]:
    cpu = " or ".join(variant.requires.cpu_any_of)
    return (
        variant.name,
        variant.requires.provider + (f" with {cpu}" if cpu else ""),
        f"{speed.alone_ms:.2f}" if speed else "-",
        f"{variant.tolerance:g}",
        f"{variant.batch_sensitivity.largest_move:g}",
    )

"""The tables at the end of a run: the published variants, and what each step took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.evaluation.closeness import describe
from storage_init.base.sizes import size, table
from storage_init.format.reading import read_package

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.workspace.records import Step


def summarize(folder: Path, steps: Sequence[Step] = ()) -> str:
    """Return two tables, the version's variants and the steps of the run, and the version's name.

    Raises:
        PackageError: the description in ``folder`` cannot be read.
    """
    package, version = read_package(folder)
    variants = [
        (
            variant.name,
            size(sum(entry.size for entry in package.files if variant.owns(entry.path))),
            f"{variant.speed.alone_ms:.2f} ms",
            f"{variant.speed.batched_ms:.2f} ms",
            f"{describe(variant.closeness)} of {variant.closeness.texts} texts",
        )
        for variant in package.variants
    ]
    header = ("variant", "size", "one text", "in a batch", "closeness to the original")
    parts = [table(header, variants, right=header[1:4])]
    if steps:
        rows = [(done.name, f"{done.seconds:.1f} s", size(done.peak_bytes)) for done in steps]
        parts.append(table(("step", "time", "peak memory"), rows, right=("time", "peak memory")))
    revision = package.source.revision[:12]
    parts.append(f"{package.name}, version {version} of {package.source.uri} at {revision}")
    return "\n\n".join(parts)

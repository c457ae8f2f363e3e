"""snapshot: fetch the source at its revision into the workspace."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec

from pipeline.original.inspection import inspect_settings, inspect_weights
from storage_init import sources
from storage_init.base.files import list_files
from storage_init.base.uris import shown
from storage_init.format.tasks import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.package import Source


def snapshot(
    source: Source, workspace: Workspace, recipe: Recipe, fetched: Path | None = None
) -> str:
    """Fetch the source, and refuse a model that cannot be prepared before heavy work starts.

    Args:
        source: pinned to a revision.
        workspace: gets the files and the source's record.
        recipe: says which weights to take, and may name the task.
        fetched: a folder with the files at that revision, if they are on this machine.

    Raises:
        EvalDataError: the recipe's evaluation data cannot be read or does not fit the model.
        SourceError: the source cannot be fetched, its kind, its task or a setting is not
            supported, or its files are not whole.
    """

    def inspect(folder: Path, names: Sequence[str]) -> None:
        inspect_settings(folder, names, recipe)

    bring = source if fetched is None else sources.resolve(fetched.resolve().as_uri())
    shutil.rmtree(workspace.answers, ignore_errors=True)
    sources.fetch(bring, workspace.source, weights=recipe.weights, inspect=inspect)
    facts = workspace.facts(recipe)
    inspect_weights(workspace.source, list_files(workspace.source), facts)
    license_name, note = _license(workspace.source / "README.md")
    pinned = msgspec.structs.replace(source, uri=shown(source.uri), license=license_name)
    workspace.source_record.write_bytes(msgspec.json.encode(pinned))
    return f"{facts.model_type}, {name_of(facts.task)}, revision {source.revision[:12]}{note}"


def _license(card: Path) -> tuple[str | None, str]:
    """The license that the front matter of a model card states, and a note if it has a mistake."""
    if not card.exists():
        return None, ""
    from huggingface_hub import metadata_load

    # A card is prose for people: a mistake in it is no reason to refuse the model.
    try:
        stated = (metadata_load(card) or {}).get("license")
    except Exception:  # noqa: BLE001 - of YAML, of its encoding, of its types
        return None, f", no license: the front matter of {card.name} cannot be read"
    return (str(stated) if stated else None), ""

"""snapshot: fetch the source at its revision into the workspace."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec

from pipeline.original.settings import check_settings
from pipeline.recipe.eval_data import read_examples
from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.base.uris import shown
from storage_init.format.tasks import name_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.package import Source
    from storage_init.raw.hf_config import ModelFacts


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
        SourceError: the source cannot be fetched, its task or a setting is not supported, or the
            weights of an embedder's layer are not in safetensors.
    """
    bring = source if fetched is None else sources.resolve(fetched.resolve().as_uri())
    shutil.rmtree(workspace.answers, ignore_errors=True)
    sources.fetch(bring, workspace.source, weights=recipe.weights)
    check_settings(workspace.source, recipe.accept_unknown)
    facts = workspace.facts(recipe)
    _check_layers(workspace.source, facts)
    read_examples(recipe.eval_data, facts.task)
    card = workspace.source / "README.md"
    pinned = msgspec.structs.replace(source, uri=shown(source.uri), license=_license(card))
    workspace.source_record.write_bytes(msgspec.json.encode(pinned))
    return f"{facts.model_type}, {name_of(facts.task)}, revision {source.revision[:12]}"


def _check_layers(folder: Path, facts: ModelFacts) -> None:
    for layer in facts.dense:
        if not (path := folder / layer.weights).is_file():
            raise SourceError(
                f"{path} is missing: weights are read from safetensors only; save the model again "
                "with sentence-transformers 3 or later"
            )


def _license(card: Path) -> str | None:
    """The license that the front matter of a model card states."""
    if not card.exists():
        return None
    from huggingface_hub import metadata_load

    stated = (metadata_load(card) or {}).get("license")
    return str(stated) if stated else None

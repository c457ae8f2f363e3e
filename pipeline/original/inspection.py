"""Checks what a source's files state, before any library opens them.

It checks the settings before the weights are downloaded, and of the weights only the headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline.original.kinds import check_type
from pipeline.original.longest_text import check_longest_text
from pipeline.original.settings import check_settings
from pipeline.recipe.eval_data import read_examples
from storage_init.base.cpus import machine_memory
from storage_init.base.errors import SourceError
from storage_init.format.package import TOKENIZER_FILE
from storage_init.format.tasks import (
    Task,
    TextClassification,
    TextRanking,
    TokenClassification,
    name_of,
)
from storage_init.raw.hf_config import ModelFacts, read_facts
from storage_init.raw.onnx_files import ready_graph
from storage_init.raw.sentence_config import read_json
from storage_init.raw.weights import check_shards, check_whole, read_header, read_tensors

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe

# transformers reads a tokenizer from one of these files; without any, it makes an empty one.
TOKENIZER_FILES = (
    *(TOKENIZER_FILE, "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    *("sentencepiece.model", "merges.txt"),
    *("vocab.txt", "vocab.json", "bpe.codes", "tekken.json", "spm.model", "source.spm"),
)
TEXTS = (".json", ".txt", ".model")
# Names that transformers gives to the last layer of a classifier.
HEADS = ("classifier", "score", "out_proj", "summary", "logits_proj", "qa_outputs")


def inspect_settings(folder: Path, names: Collection[str], recipe: Recipe) -> ModelFacts:
    """Refuse a source whose settings show that its preparation would fail; returns its facts.

    Args:
        folder: the source's files but its weights.
        names: the paths of all its files.
        recipe: may name the task, and the settings to leave out.

    Raises:
        EvalDataError: the recipe's evaluation data cannot be read or does not fit the model.
        SourceError: its task, its kind or a setting is not supported, or a file is missing.
    """
    check_whole(
        path for name in names if (path := folder / name).is_file() and path.suffix in TEXTS
    )
    check_settings(folder, recipe.accept_unknown, names)
    check_shards(folder, names)
    facts = read_facts(folder, recipe.task, recipe.max_length)
    # A later step may have more memory than this one's container, but not more than the machine.
    check_longest_text(folder, facts, machine_memory())
    if any(name.endswith(".safetensors") for name in names) and recipe.weights != "onnx":
        check_type(folder, facts.model_type)
    for layer in facts.dense:
        if layer.weights not in names:
            raise SourceError(
                f"{folder}/{layer.weights} is missing: weights are read from safetensors only; "
                "save the model again with sentence-transformers 3 or later"
            )
    if not any(name.rpartition("/")[2] in TOKENIZER_FILES for name in names):
        raise SourceError(
            f"{folder} has no fast tokenizer ({TOKENIZER_FILE}), and no file to make one of: save "
            "the model's own tokenizer beside it"
        )
    read_json(folder / TOKENIZER_FILE, dict[str, msgspec.Raw])
    read_examples(recipe.eval_data, facts.task)
    return facts


def inspect_weights(folder: Path, names: Collection[str], facts: ModelFacts) -> None:
    """Refuse files that are not whole, and last layers that are missing or have other shapes.

    Args:
        folder: the source.
        names: the paths of the files that the preparation needs of it.
        facts: what :func:`inspect_settings` found.

    Raises:
        SourceError: says which file, and what to do.
    """
    check_whole(folder / name for name in names)
    _check_dense(folder, facts)
    if any(name.endswith(".safetensors") for name in names) and ready_graph(folder) is None:
        _check_head(folder, facts.task)


def _check_dense(folder: Path, facts: ModelFacts) -> None:
    """Refuse a dense layer whose weights are missing or have another shape than it states."""
    for layer in facts.dense:
        path, wanted = folder / layer.weights, [layer.outputs, layer.inputs]
        weight = read_header(path).get("linear.weight")
        if weight is None or weight.shape != wanted:
            what = "no linear.weight" if weight is None else f"a linear.weight of {weight.shape}"
            raise SourceError(
                f"{path} has {what}, and {path.parent}/config.json states {wanted}: take both from "
                "the same version of the model"
            )


def _check_head(folder: Path, task: Task) -> None:
    """Refuse a model whose head is missing, or has another number of labels than it states."""
    rows = _rows(task)
    if rows is None:
        return
    shapes = {name: tensor.shape for name, tensor in read_tensors(folder).items()}
    matrices = {
        name: shape
        for name, shape in shapes.items()
        if len(shape) == 2 and name.endswith(".weight") and "embedding" not in name
    }
    if any(shape[0] == rows for shape in matrices.values()):
        return
    named = [name for name in matrices if name.split(".")[-2] in HEADS]
    if not named:
        raise no_head(folder, task)
    last = min(named, key=lambda name: matrices[name][0])
    raise SourceError(
        f"{folder}/config.json states {rows} labels, but the weights of the head ({last}) are for "
        f"{matrices[last][0]}: correct its id2label"
    )


def no_head(folder: Path, task: Task) -> SourceError:
    """The refusal of an encoder without the task's last layer."""
    return SourceError(
        f"{folder} has no weights for {name_of(task)}, whose answers would be random: name the "
        "task that it was trained for (--task), or take a repository with its head"
    )


def _rows(task: Task) -> int | None:
    if isinstance(task, TextClassification | TokenClassification):
        return len(task.labels)
    if isinstance(task, TextRanking):
        return 1
    return None

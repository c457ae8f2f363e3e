"""Model types of transformers for the tasks served here: supported, refused, not tried."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import transformers
from transformers.models.auto import (
    feature_extraction_auto,
    image_processing_auto,
    modeling_auto,
    processing_auto,
    tokenization_auto,
)

from benchmarks.harness.report import NOTHING
from pipeline.original.kinds import ON_GPUS, UNTRACEABLE, check_kind
from storage_init.base.errors import SourceError
from tests.architectures.catalogue import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Collection

PAGE = "model-types.md"
MODELS_PAGE = Path(__file__).parents[1] / "models.md"
REFUSED = (*UNTRACEABLE, *ON_GPUS)
EMBEDDING = "feature-extraction, sentence-similarity"
# The Hub's tags, and the classes that answer them. Those of EMBEDDING are models without a head.
HEADS: dict[str, Collection[str]] = {
    "text-classification, text-ranking": (
        modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    ),
    "token-classification": modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
    "question-answering": modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
    "fill-mask": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
}
# The columns of the page of models that a tag stands for.
COLUMNS = {
    "text-classification, text-ranking": ("classification", "pairs", "zero-shot", "reranking"),
    "token-classification": ("tokens",),
    "question-answering": ("answers",),
    "fill-mask": ("fill-mask",),
    EMBEDDING: ("embedding",),
}
MEASURED = ("int8", "fp32")


def reference() -> str:
    """Return what is known of each model type, as Markdown tables."""
    tags = {**HEADS, EMBEDDING: _embedders()}
    every = sorted(set().union(*tags.values()))
    tried = {kind for kind, _ in _measured() if kind not in REFUSED}
    lines = [
        f"transformers {transformers.__version__} has {len(every)} model types for these tags.",
        "",
        "### Supported",
        "",
        f"| model type | {' | '.join(tags)} |",
        f"|{'---|' * (len(tags) + 1)}",
    ]
    for kind in sorted(tried):
        cells = " | ".join(_cell(kind, tag, tags[tag]) for tag in tags)
        lines.append(f"| `{kind}` | {cells} |")
    lines += ["", "### Refused", "", "| model type | it says |", "|---|---|"]
    lines += [f"| `{kind}` | {_refusal(kind)} |" for kind in REFUSED]
    lines += ["", "### Not tried", "", "| tag | model types |", "|---|---|"]
    for tag, known in tags.items():
        left = ", ".join(f"`{kind}`" for kind in sorted({*known}.difference(tried, REFUSED)))
        lines.append(f"| {tag} | {left} |")
    return "\n".join(lines)


def _embedders() -> set[str]:
    """Model types of texts: they have a tokenizer and no processor, or one of the other tags."""
    others = (
        *image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES,
        *feature_extraction_auto.FEATURE_EXTRACTOR_MAPPING_NAMES,
        *processing_auto.PROCESSOR_MAPPING_NAMES,
    )
    texts = {*tokenization_auto.TOKENIZER_MAPPING_NAMES}.difference(others)
    texts |= {*modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES}.union(*HEADS.values())
    return texts.intersection(modeling_auto.MODEL_MAPPING_NAMES)


def _cell(kind: str, tag: str, known: Collection[str]) -> str:
    if kind not in known:
        return NOTHING
    measured = _measured()
    return "yes" if any((kind, name) in measured for name in COLUMNS[tag]) else "not tried"


@cache
def _measured() -> frozenset[tuple[str, str]]:
    """The pairs of model type and column that the page of models shows as supported."""
    table = MODELS_PAGE.read_text("utf-8").partition("### Architectures and tasks")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.partition("###")[0].splitlines()
        if line.startswith("|")
    ]
    kinds = {each.name: each.model_type for each in ARCHITECTURES}
    return frozenset(
        (kinds[row[0]], column)
        for row in rows[2:]
        for column, cell in zip(rows[0], row, strict=True)
        if cell in MEASURED
    )


def _refusal(kind: str) -> str:
    try:
        check_kind(Path("no-folder"), {"model_type": kind}, ())
    except SourceError as error:
        return str(error)
    raise ValueError(f"{kind} is not refused")

"""Compares the published tokenizer with the original's, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.graphs.files import GraphError
from pipeline.original.texts import long_texts, tokenizer_texts
from storage_init.format.tasks import QuestionAnswering, TextClassification, TextRanking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.original.library import Original
    from pipeline.recipe.recipe import Example
    from storage_init.raw.hf_config import ModelFacts
    from storage_init.running.tokenizer import Tokenizer

SHOWN = 40


def save(original: Original, target: Path) -> None:
    """Write the tokenizer that the original uses as the library holds it, not as it was saved.

    Raises:
        GraphError: the source has none that the tokenizers library runs.
    """
    backend = getattr(original.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise GraphError(
            f"{type(original.tokenizer).__name__} has no fast tokenizer ({target.name}), and "
            "transformers cannot make one"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    backend.save(str(target))


def check(original: Original, published: Tokenizer, facts: ModelFacts) -> int:
    """Compare token ids on texts of many scripts, alone, in pairs and long; returns their number.

    Raises:
        GraphError: names the first text that differs.
    """
    examples = list(_examples(facts))
    for example in examples:
        (encoding,) = published.encode_batch([example])
        made: dict[str, list[int]] = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        for name, wanted in original.encode(example).items():
            if made[name] != wanted:
                raise GraphError(_difference(example, name, made[name], wanted))
    return len(examples)


def _examples(facts: ModelFacts) -> Iterator[Example]:
    length = facts.limits.max_length
    texts = tokenizer_texts(length)
    if not isinstance(facts.task, QuestionAnswering | TextRanking):
        yield from texts
    if isinstance(facts.task, QuestionAnswering | TextRanking | TextClassification):
        # A question is never cut, so that it has to be short.
        short = texts[3:8]
        yield from zip([short[n % len(short)] for n in range(len(texts))], texts, strict=True)
    if isinstance(facts.task, TextRanking | TextClassification):
        yield from ((long, text) for long in long_texts(length) for text in [*texts[:8], long])


def _difference(example: Any, name: str, made: list[int], wanted: list[int]) -> str:
    text = example if isinstance(example, str) else " | ".join(example)
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    pairs = zip(made, wanted, strict=False)
    place = next((n for n, (one, other) in enumerate(pairs) if one != other), len(made))
    return (
        f"its tokenizer cannot be published: for the text {shown!r} the authors' library makes "
        f"{len(wanted)} {name} and the published one {len(made)}, first different at {place}"
    )

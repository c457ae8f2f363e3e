"""The tasks of prepared models, as the field ``task`` of ``package.json`` describes them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType


class TextClassification(Struct, frozen=True, tag_field="name", tag="text-classification"):
    """Logits over ``labels``; ``activation`` turns them into probabilities.

    ``softmax`` is for one label per text, ``sigmoid`` for several, ``none`` for a regression.
    """

    labels: Annotated[list[str], Meta(min_length=1)]
    activation: Literal["softmax", "sigmoid", "none"]


# The names that sentence-transformers uses.
Pooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"]


class TextEmbedding(Struct, frozen=True, tag_field="name", tag="text-embedding"):
    """One vector of ``dimension`` values per text, pooled over its tokens.

    ``prompts`` are texts to put before a request's texts, by name; a request names one, and
    ``default_prompt`` is the name for requests that name none.
    """

    dimension: Annotated[int, Meta(ge=1)]
    pooling: Pooling
    normalize: bool
    # Unset instead of null: descriptions without prompts keep their digest.
    prompts: dict[str, str] | UnsetType = UNSET
    default_prompt: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.default_prompt is not UNSET and self.default_prompt not in (self.prompts or {}):
            raise ValueError(f"there is no prompt {self.default_prompt}")


class TextRanking(Struct, frozen=True, tag_field="name", tag="text-ranking"):
    """One logit per pair of query and document; ``activation`` turns it into the score."""

    activation: Literal["sigmoid", "none"]


class TokenClassification(Struct, frozen=True, tag_field="name", tag="token-classification"):
    """Logits over ``labels`` for every token."""

    labels: Annotated[list[str], Meta(min_length=1)]


class QuestionAnswering(Struct, frozen=True, tag_field="name", tag="question-answering"):
    """Two logits for every token: one that an answer starts there, one that it ends there.

    ``stride`` is the number of tokens that neighbouring windows over a long context share.
    """

    stride: Annotated[int, Meta(ge=1)]


class FillMask(Struct, frozen=True, tag_field="name", tag="fill-mask"):
    """Logits over the vocabulary for every token; those at ``mask_token`` are the answer.

    ``clean_up_spaces``: whether to remove spaces before punctuation from decoded text.
    """

    mask_token: Annotated[str, Meta(min_length=1)]
    # Unset instead of false, so that descriptions written before this field keep their digest.
    clean_up_spaces: Literal[True] | UnsetType = UNSET


TokenTask = TokenClassification | QuestionAnswering | FillMask
Task = TextClassification | TextEmbedding | TextRanking | TokenTask


def name_of(task: Task) -> str:
    """Return the task's name in ``package.json``."""
    return str(type(task).__struct_config__.tag)

"""What holds while a model is traced: its masks are watched, and its sizes stay sizes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers.masking_utils import (
    ALL_MASK_ATTENTION_FUNCTIONS,
    bidirectional_mask_function,
    eager_mask,
)
from transformers.models.deberta import modeling_deberta

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def watched_masks() -> Iterator[list[bool]]:
    """List for each mask that a model makes meanwhile whether it hides padding and nothing else.

    The models must attend in the way that transformers calls "eager". Masks are computed without
    ``vmap``, which the tracer does not follow.
    """
    plain: list[bool] = []

    def watch(*sizes: Any, **settings: Any) -> Any:
        plain.append(settings.get("mask_function") is bidirectional_mask_function)
        return eager_mask(*sizes, **settings | {"use_vmap": False})

    # An entry of the instance hides the library's own, which stays in the class.
    ALL_MASK_ATTENTION_FUNCTIONS["eager"] = watch
    try:
        yield plain
    finally:
        del ALL_MASK_ATTENTION_FUNCTIONS["eager"]


@torch.jit.script
def _span(query: torch.Tensor, key: torch.Tensor, most: int) -> torch.Tensor:
    return torch.tensor(min(max(query.size(-2), key.size(-2)), most))


@contextmanager
def sizes_kept() -> Iterator[None]:
    """Let DeBERTa compute its span of positions from the text: the tracer would keep a number."""
    known = modeling_deberta.compute_attention_span
    modeling_deberta.compute_attention_span = _span
    try:
        yield
    finally:
        modeling_deberta.compute_attention_span = known

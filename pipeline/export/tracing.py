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
from transformers.models.xmod import modeling_xmod
from transformers.models.yoso import modeling_yoso

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
        mask = settings.get("attention_mask")
        plain.append(settings.get("mask_function") is bidirectional_mask_function)
        if plain[-1] and mask is not None:
            return _hiding(mask, settings["dtype"])
        return eager_mask(*sizes, **settings | {"use_vmap": False})

    # An entry of the instance hides the library's own, which stays in the class.
    ALL_MASK_ATTENTION_FUNCTIONS["eager"] = watch
    try:
        yield plain
    finally:
        del ALL_MASK_ATTENTION_FUNCTIONS["eager"]


def _hiding(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Turn a mask [N, L] that hides padding alone into what is added to scores [N, H, L, L].

    transformers 5 makes a mask for every pair of tokens, in five times as many nodes. transformers
    4 wrote it like this, and ONNX Runtime's fusion knows this form.
    """
    hidden = 1.0 - mask[:, None, None, :].expand(-1, 1, 1, -1).to(dtype)
    return hidden.masked_fill(hidden.to(torch.bool), torch.finfo(dtype).min)


@torch.jit.script
def _span(query: torch.Tensor, key: torch.Tensor, most: int) -> torch.Tensor:
    return torch.tensor(min(max(query.size(-2), key.size(-2)), most))


def _one_language(
    self: modeling_xmod.XmodOutput, lang_ids: torch.Tensor, hidden_states: torch.Tensor
) -> torch.Tensor:
    """Run X-MOD's adapter of the default language; texts of several languages would need a loop."""
    adapter = [*self.adapter_modules.values()][int(lang_ids[0])]
    own = self.LayerNorm if self.adapter_reuse_layer_norm else torch.nn.Identity()
    norm = self.adapter_layer_norm or own
    normed = norm(hidden_states)
    adapted: torch.Tensor = adapter(normed)
    return adapted + (normed if self.ln_before_adapter else hidden_states)


_yoso_attention = modeling_yoso.YosoSelfAttention.forward


def _masked_attention(
    self: modeling_yoso.YosoSelfAttention, states: torch.Tensor, mask: torch.Tensor, *others: Any
) -> Any:
    """YOSO's attention with the mask that it expects, -10000 for padding.

    transformers 5 gives it 0, which hides nothing: a text's answer depends on its batch.
    """
    known = mask if self.use_conv else (mask - 1) * 10000.0
    return _yoso_attention(self, states, known, *others)


@contextmanager
def traceable() -> Iterator[None]:
    """Replace what the tracer would get wrong, or make a needlessly large graph of.

    DeBERTa computes its span of positions from the text, where the tracer would keep a number.
    Without a language among the inputs, X-MOD's is the default one for every text. YOSO would read
    a text's padding.
    """
    places: list[tuple[Any, str, Any]] = [
        (modeling_deberta, "compute_attention_span", _span),
        (modeling_xmod.XmodOutput, "lang_adapter", _one_language),
        (modeling_yoso.YosoSelfAttention, "forward", _masked_attention),
    ]
    known = [getattr(owner, name) for owner, name, _ in places]
    for owner, name, replacement in places:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(places, known, strict=True):
            setattr(owner, name, value)

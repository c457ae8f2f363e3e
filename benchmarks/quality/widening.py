"""A DistilBERT-base grown from MiniLM: twice as wide, with the same answers until it is trained.

No package of pip's was found with pretrained weights of this size. Every unit of MiniLM gets a
twin, and what read one unit reads both, with shares that add up to one. The shares are random, so
that twins part as soon as the model is trained.

Source: Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer" (2016).
"""

from __future__ import annotations

import math
from typing import Any

# Shares of twins are between a half less this and a half more.
SPREAD = 0.4


def widen(bert: Any, labels: tuple[str, ...]) -> Any:
    """A DistilBERT with a new head for labels, and twice the hidden size of a BERT of 6 layers."""
    import torch
    import transformers

    old = bert.config
    config = transformers.DistilBertConfig(
        vocab_size=old.vocab_size,
        max_position_embeddings=old.max_position_embeddings,
        dim=2 * old.hidden_size,
        hidden_dim=2 * old.intermediate_size,
        n_layers=old.num_hidden_layers,
        n_heads=old.num_attention_heads,
        id2label=dict(enumerate(labels)),
        label2id={name: index for index, name in enumerate(labels)},
    )
    model = transformers.DistilBertForSequenceClassification(config)
    # Twins of hidden units, of the feed-forward layer's, and of each head's lie apart like this.
    hidden, inner = old.hidden_size, old.intermediate_size
    head = hidden // old.num_attention_heads
    with torch.no_grad():
        target, source = model.distilbert.embeddings, bert.embeddings
        types = source.token_type_embeddings.weight[0]
        target.word_embeddings.weight.copy_(_twins(source.word_embeddings.weight, hidden, dim=1))
        positions = source.position_embeddings.weight + types
        target.position_embeddings.weight.copy_(_twins(positions, hidden, dim=1))
        _copy_norm(target.LayerNorm, source.LayerNorm, hidden)
        for new, layer in zip(model.distilbert.transformer.layer, bert.encoder.layer, strict=True):
            taken, made = layer.attention.self, new.attention
            # A product of queries and keys has twice as many terms, and is divided by a root.
            _copy_linear(made.q_lin, taken.query, hidden, head, scale=1 / math.sqrt(2))
            _copy_linear(made.k_lin, taken.key, hidden, head)
            _copy_linear(made.v_lin, taken.value, hidden, head)
            _copy_linear(made.out_lin, layer.attention.output.dense, head, hidden)
            _copy_norm(new.sa_layer_norm, layer.attention.output.LayerNorm, hidden)
            _copy_linear(new.ffn.lin1, layer.intermediate.dense, hidden, inner)
            _copy_linear(new.ffn.lin2, layer.output.dense, inner, hidden)
            _copy_norm(new.output_layer_norm, layer.output.LayerNorm, hidden)
    return model


def _twins(values: Any, block: int, dim: int) -> Any:
    """Repeat each block of ``block`` units, so that a unit and its twin are a block apart."""
    import torch

    blocks = torch.split(values, block, dim=dim)
    return torch.cat([each for each in blocks for _ in range(2)], dim=dim)


def _copy_linear(new: Any, old: Any, inputs: int, outputs: int, scale: float = 1.0) -> None:
    """Fill a linear layer, whose inputs and outputs lie in blocks of these sizes with twins."""
    import torch

    rows = _twins(old.weight, outputs, dim=0)
    share = 0.5 + SPREAD * (2 * torch.rand(rows.shape) - 1)
    first, second = (torch.split(rows * part, inputs, dim=1) for part in (share, 1 - share))
    pairs = [block for pair in zip(first, second, strict=True) for block in pair]
    new.weight.copy_(scale * torch.cat(pairs, dim=1))
    new.bias.copy_(scale * _twins(old.bias, outputs, dim=0))


def _copy_norm(new: Any, old: Any, block: int) -> None:
    """Twins leave the mean and the variance as they are."""
    new.weight.copy_(_twins(old.weight, block, dim=0))
    new.bias.copy_(_twins(old.bias, block, dim=0))

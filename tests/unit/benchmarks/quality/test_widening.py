"""The wider model gives the same answers until it is trained."""

from __future__ import annotations

import torch
import transformers

from benchmarks.quality.widening import widen


def test_a_wider_model_computes_the_same() -> None:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=16,
    )
    bert = transformers.BertModel(config).eval()
    wide = widen(bert, ("no", "yes")).eval()
    assert wide.config.dim == 24
    assert wide.config.hidden_dim == 40
    assert wide.config.id2label == {0: "no", 1: "yes"}
    ids = torch.randint(0, 50, (2, 9))
    with torch.no_grad():
        old, new = bert(input_ids=ids), wide.distilbert(input_ids=ids)
    for twin in new.last_hidden_state.split(12, dim=2):
        torch.testing.assert_close(twin, old.last_hidden_state, atol=1e-5, rtol=1e-4)
    # Twins read with unequal shares, so that training parts them.
    weights = wide.distilbert.transformer.layer[0].ffn.lin1.weight
    assert (weights[:, :12] - weights[:, 12:]).abs().max() > 0.01

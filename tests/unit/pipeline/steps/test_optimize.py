"""optimize: the fusions that make a variant fast, and the fp32 variant's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.recipe.recipe import Recipe
from pipeline.steps.optimize import optimize
from storage_init.running.session import input_names, open_session
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from pipeline.workspace.workspace import Workspace


def test_an_encoder_is_fused_and_gives_logits_for_tokens(quantized: Workspace) -> None:
    said = optimize(quantized, Recipe())
    # Two layers: an attention and a GELU each. The last attention is that of one token.
    for fused in ("1 EmbedLayerNormalization", "1 Attention", "1 MultiHeadA", "2 BiasGelu"):
        assert fused in said
    # Of a pooler; other providers have no kernel for it, or run it wrongly.
    assert b"FusedGemm" not in quantized.graph("fp32").read_bytes()
    session = open_session(quantized.graph("fp32"))
    assert set(input_names(session)) == {"input_ids", "attention_mask", "token_type_ids"}
    (output,) = session.get_outputs()
    assert (output.name, output.shape[1]) == ("logits", len(LABELS))

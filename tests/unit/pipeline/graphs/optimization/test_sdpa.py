"""Attention as today's PyTorch exports it is fused, and its answers stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.graphs.files import save
from pipeline.graphs.optimization.attention_facts import AttentionFacts
from pipeline.graphs.optimization.fusing import fuse
from storage_init.running.session import input_names, open_session, run_answer
from tests.support.models.exports import export_onnx
from tests.support.models.models import VOCABULARY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def exported(classifier: Path, tmp_path: Path) -> Path:
    return export_onnx(classifier, tmp_path / "export", attention="sdpa")


def test_scaled_dot_product_attention_is_fused_with_the_same_answers(
    exported: Path, classifier: Path, tmp_path: Path
) -> None:
    AttentionFacts.stated(classifier).save(exported)
    fused = fuse(exported / "model.onnx")
    counts = fused.get_fused_operator_statistics()
    assert (counts["Attention"], counts["LayerNormalization"]) == (2, 2 * 2 + 1)
    save(fused.model, tmp_path / "fused" / "model.onnx")
    chance = np.random.default_rng(3)
    sessions = [open_session(path / "model.onnx") for path in (exported, tmp_path / "fused")]
    ids = chance.integers(5, len(VOCABULARY), size=(3, 20))
    feeds = {name: np.zeros_like(ids) for name in input_names(sessions[0])} | {"input_ids": ids}
    feeds["attention_mask"] = (np.arange(20) < [[20], [7], [1]]).astype(np.int64)
    want, found = (run_answer(session, feeds) for session in sessions)
    np.testing.assert_allclose(found, want, atol=1e-5)


@pytest.mark.parametrize(
    "facts",
    [
        AttentionFacts(heads=4, width=32, plain_masks=False, lowest_mask=False),
        # The fused operator computes its scale of the width of a head, which is another one here.
        AttentionFacts(heads=2, width=32, lowest_mask=False),
    ],
)
def test_attention_that_the_fused_operator_does_not_compute_stays_as_it_is(
    exported: Path, facts: AttentionFacts
) -> None:
    facts.save(exported)
    assert fuse(exported / "model.onnx").get_fused_operator_statistics()["Attention"] == 0


@pytest.mark.parametrize("key", ["sliding_window", "is_decoder"])
def test_a_configuration_tells_of_tokens_that_do_not_see_all_others(
    key: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(
        f'{{"num_attention_heads": 4, "hidden_size": 32, "{key}": 8}}'
    )
    assert not AttentionFacts.stated(tmp_path).plain_masks

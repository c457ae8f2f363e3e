"""Evaluation data and the search on tasks whose answers are about tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.recipe.recipe import Int8, QuantizedGate, Recipe, Search
from pipeline.workspace import evidence
from storage_init.format.package import EVIDENCE_FILE
from tests.support.models.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path

# No quantisation is this exact: the search runs, and does not help.
EXACT = Int8(
    gate=QuantizedGate(max_token_probability_difference=1e-9), search=Search(max_excluded=1)
)
LINES = ["good film", "the battery lasts two days", "i would not watch this again", "poor"]


@pytest.mark.parametrize("model", ["tagger", "reader", "masked"])
def test_tokens_are_compared_as_their_task_is(
    model: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    asked = "who is it?" if model == "reader" else ""
    path = tmp_path / "mine.tsv"
    header = "text\ttext_pair" if asked else "text"
    rows = [f"{asked}\t{line}" if asked else line for line in LINES]
    path.write_text("\n".join([header, *rows]))
    folder = request.getfixturevalue(model)
    made = prepare(folder, model, tmp_path / "store", Recipe(int8=EXACT).with_eval_data(path))
    kept = evidence.read(made / EVIDENCE_FILE)
    fp32, int8 = kept.variants
    assert (fp32.accepted, int8.accepted) == (True, False)
    assert [limit.name for limit in fp32.limits if limit.data == "selftest"] == [
        "max_token_probability_difference",
        "min_label_agreement",
    ]
    found = fp32.on_evaluation_data
    assert found is not None
    assert (found.texts, found.differing, found.flipped, found.scores) == (4, 0, 0, None)
    assert found.mean_probability_difference is not None
    assert found.mean_probability_difference < 1e-5
    noisy = int8.on_evaluation_data
    assert noisy is not None
    assert noisy.worst_probability_difference is not None
    assert noisy.worst_probability_difference > 1e-4
    assert int8.worst[0].distance == pytest.approx(noisy.worst_probability_difference, rel=1e-4)
    shown = {example.text_pair or example.text for example in int8.worst}
    # One word of a text is masked before it is asked.
    assert shown == set(LINES) or model == "masked"
    assert int8.search is not None
    assert [trial.excluded for trial in int8.search.trials] == [1]
    assert int8.search.damages[0].distance > 0
    assert [time.texts for time in fp32.times] == [1] * 4 + [16] * 4


def test_a_rankers_scores_are_compared_by_their_order(reranker: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(f'{{"text": "good", "text_pair": "{line}"}}\n' for line in LINES))
    made = prepare(reranker, "m", tmp_path / "store", Recipe().with_eval_data(path))
    kept = evidence.read(made / EVIDENCE_FILE)
    for variant in kept.variants:
        found = variant.on_evaluation_data
        assert found is not None
        assert found.label_agreement is None
        assert found.rank_correlation is not None
        assert found.batch_sensitivity.flipped_labels == 0
        names = [limit.name for limit in variant.limits if limit.data == "evaluation"]
        assert names == ["min_rank_correlation"]
    fp32 = kept.variants[0]
    assert fp32.on_evaluation_data is not None
    assert fp32.on_evaluation_data.rank_correlation == pytest.approx(1)
    assert {example.text_pair for example in fp32.worst} == set(LINES)

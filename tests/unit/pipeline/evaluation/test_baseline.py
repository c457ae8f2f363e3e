"""The baseline, and variants compared with it on evaluation data, for every kind of task."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.evaluation.baseline import baseline_outputs
from pipeline.graphs.files import GraphError
from pipeline.recipe.limits import QuantizedGate
from pipeline.recipe.recipe import Bench, Int8, Recipe, Search
from pipeline.steps.evaluate import evaluate
from pipeline.workspace import evidence
from pipeline.workspace.workspace import Workspace
from storage_init.running.tokenizer import Tokenizer
from tests.unit.pipeline.conftest import quantized_workspace

if TYPE_CHECKING:
    from pathlib import Path


# No quantisation is this exact: the search runs, and does not help.
EXACT = Int8(
    gate=QuantizedGate(max_token_probability_difference=1e-9), search=Search(max_excluded=1)
)
RECIPE = Recipe(int8=EXACT, bench=Bench(tokens=(8, 16), rounds=1))
LINES = ["good film", "the battery lasts two days", "i would not watch this again", "poor"]


def evaluated(model: Path, folder: Path, question: str) -> list[Any]:
    path = folder / "mine.tsv"
    header = "text\ttext_pair" if question else "text"
    path.write_text("\n".join([header, *(f"{question}{line}" for line in LINES)]))
    recipe = RECIPE.with_eval_data(path)
    workspace = quantized_workspace(model, folder / "work", recipe)
    evaluate(workspace, recipe)
    return evidence.read(workspace.evidence).variants


@pytest.mark.parametrize("model", ["tagger", "reader", "masked"])
def test_answers_about_tokens_are_compared_token_by_token(
    model: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    question = "who is it?\t" if model == "reader" else ""
    fp32, int8 = evaluated(request.getfixturevalue(model), tmp_path, question)
    assert (fp32.accepted, int8.accepted) == (True, False)
    assert [limit.name for limit in fp32.limits if limit.data == "selftest"] == [
        "max_token_probability_difference",
        "min_label_agreement",
    ]
    found, noisy = fp32.on_evaluation_data, int8.on_evaluation_data
    assert (found.texts, found.differing, found.flipped, found.scores) == (4, 0, 0, None)
    assert found.mean_probability_difference < 1e-5
    assert noisy.worst_probability_difference > 1e-4
    assert int8.worst[0].distance == pytest.approx(noisy.worst_probability_difference, rel=1e-4)
    # A word of each text is masked before a mask filler answers.
    shown = {example.text_pair or example.text for example in int8.worst}
    assert shown == set(LINES) or model == "masked"
    assert [trial.excluded for trial in int8.search.trials] == [1]
    assert int8.search.damages[0].distance > 0


def test_a_rankers_scores_are_compared_by_their_order(reranker: Path, tmp_path: Path) -> None:
    variants = evaluated(reranker, tmp_path, "good\t")
    for variant in variants:
        found = variant.on_evaluation_data
        assert found.label_agreement is None
        assert found.rank_correlation > 0.5
        assert found.batch_sensitivity.flipped_labels == 0
        names = [limit.name for limit in variant.limits if limit.data == "evaluation"]
        assert names == ["min_rank_correlation"]
    fp32 = variants[0]
    assert fp32.on_evaluation_data.rank_correlation == pytest.approx(1)
    assert {example.text_pair for example in fp32.worst} == set(LINES)


def test_an_original_model_that_does_not_run_is_refused(classifier: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    shutil.copytree(classifier, workspace.source)
    (workspace.source / "model.safetensors").write_bytes(b"no weights")
    tokenizer = Tokenizer(classifier / "tokenizer.json", 64, 0)
    with pytest.raises(GraphError, match=r"^the original does not answer: .+$"):
        baseline_outputs(workspace, workspace.facts(Recipe()), ["good"], tokenizer)

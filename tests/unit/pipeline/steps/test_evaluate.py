"""evaluate: which variants are accepted, why the others are not, and what is recorded."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from pipeline.evaluation import referee
from pipeline.evaluation.candidate import Candidate
from pipeline.recipe.limits import QuantizedGate
from pipeline.recipe.recipe import Bench, Fp32, Int8, Recipe, Search
from pipeline.steps.evaluate import EvaluationError, evaluate
from pipeline.workspace import evidence
from pipeline.workspace.evidence import Evaluation
from storage_init.base import cpus
from storage_init.format.selftest import SelfTest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import tokenizers
    from numpy.typing import NDArray

    from pipeline.workspace.workspace import Workspace

# No variant differs by less than nothing.
IMPOSSIBLE = QuantizedGate(min_cosine=2.0, max_probability_difference=-1.0, min_label_agreement=1.0)
NO_SEARCH = Search(max_excluded=0)
GENEROUS = QuantizedGate(min_cosine=-1.0, max_probability_difference=1.0, min_label_agreement=0.0)


def written(workspace: Workspace) -> Evaluation:
    return msgspec.json.decode(workspace.evaluation.read_bytes(), type=Evaluation)


def kept_evidence(workspace: Workspace) -> Any:
    """The evidence, whose figures are None where nothing was measured."""
    return evidence.read(workspace.evidence)


def test_variants_within_their_gates_are_accepted_with_what_was_measured(
    quantized: Workspace,
) -> None:
    said = evaluate(quantized, Recipe(int8=Int8(gate=GENEROUS)))
    fp32, int8 = written(quantized).accepted
    assert said.startswith("fp32: worst logit difference ")
    assert "; int8: worst logit difference " in said
    assert (fp32.name, fp32.graph) == ("fp32", "fp32/model.onnx")
    for variant in (fp32, int8):
        assert variant.requires.cpu_any_of == []
        assert variant.closeness.texts == len(Recipe().selftest_texts)
        measured = written(quantized).measured
        speed = measured.speed(variant.name)
        assert speed is not None
        assert min(speed.alone_ms, speed.batched_ms) > 0
        assert (speed.batch, measured.cpu) == (16, cpus.cpu_model())
        assert variant.batch_sensitivity.largest_move < 1e-5, "answers come from their own tokens"
        assert variant.batch_sensitivity.flipped_labels == 0
    fp32_off, int8_off = (v.closeness.worst_logit_difference or 0 for v in (fp32, int8))
    assert fp32_off < 1e-4 < int8_off
    assert int8.tolerance == pytest.approx(2 * int8_off)


def test_the_baseline_is_the_pytorch_models_answer(quantized: Workspace) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    texts = ("good", "the film was " * 40)  # the second has more tokens than the model takes
    evaluate(quantized, Recipe(variants=("fp32",), selftest_texts=texts))
    selftest = SelfTest.load(quantized.selftest)
    tokenizer = AutoTokenizer.from_pretrained(quantized.source)
    model = AutoModelForSequenceClassification.from_pretrained(quantized.source)
    inputs = tokenizer(list(texts), truncation=True, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits.numpy()
    assert selftest.texts == list(texts)
    np.testing.assert_allclose(selftest.reference, logits, atol=1e-5)


def test_8_bit_weights_are_rejected_if_the_host_cannot_run_them(
    quantized: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpus, "cpu_features", lambda: frozenset(["avx2", "avx512f"]))
    said = evaluate(quantized, Recipe(int8=Int8(weight_bits=8)))
    result = written(quantized)
    assert [variant.name for variant in result.accepted] == ["fp32"]
    assert result.rejected == {"int8": "this CPU has none of avx512_vnni, avx_vnni, asimd"}
    assert "int8: REJECTED, this CPU has none of avx512_vnni" in said


def test_nothing_is_published_if_fp32_misses_its_gate(quantized: Workspace) -> None:
    recipe = Recipe(fp32=Fp32(gate=IMPOSSIBLE), int8=Int8(gate=GENEROUS))
    with pytest.raises(EvaluationError) as refused:
        evaluate(quantized, recipe)
    message = str(refused.value)
    assert message.startswith("fp32 does not answer as the original does (probability difference ")
    kept = kept_evidence(quantized)
    assert [variant.accepted for variant in kept.variants] == [False, False]
    assert str(kept.variant("fp32").reason) in message


def test_int8_is_not_published_if_fp32_is_off_by_little_on_a_long_text(
    quantized: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_alone = Candidate.run_alone

    def shifted(candidate: Candidate, encodings: Sequence[tokenizers.Encoding]) -> NDArray[Any]:
        long = np.array([len(encoding) == 64 for encoding in encodings])
        return run_alone(candidate, encodings) + 0.01 * long[:, None]

    monkeypatch.setattr(Candidate, "run_alone", shifted)
    with pytest.raises(
        EvaluationError, match=r"\(a value is 0\.00\d+ off on texts of many scripts"
    ):
        evaluate(quantized, Recipe(variants=("int8",), int8=Int8(gate=GENEROUS)))


def test_it_is_an_error_with_figures_if_no_variant_passes(quantized: Workspace) -> None:
    recipe = Recipe(variants=("int8",), int8=Int8(gate=IMPOSSIBLE, search=NO_SEARCH))
    with pytest.raises(EvaluationError) as refused:
        evaluate(quantized, recipe)
    message = str(refused.value)
    assert message.startswith("no variant is close enough to the original (int8: probability")
    assert message.count(" is above -1") == 1
    kept = kept_evidence(quantized)
    assert [variant.accepted for variant in kept.variants] == [False]
    assert str(kept.variant("int8").reason) in message


def test_a_variant_that_breaks_only_in_a_padded_batch_is_rejected(
    quantized: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_together = Candidate.run_together

    def broken(candidate: Candidate, encodings: Sequence[tokenizers.Encoding]) -> NDArray[Any]:
        rows = run_together(candidate, encodings)
        return rows * np.nan if candidate.name == "int8" else rows

    monkeypatch.setattr(Candidate, "run_together", broken)
    evaluate(quantized, Recipe(int8=Int8(gate=GENEROUS, search=NO_SEARCH)))
    result = written(quantized)
    assert [variant.name for variant in result.accepted] == ["fp32"]
    assert result.rejected["int8"] == "values that are not finite in a padded batch"
    kept = kept_evidence(quantized).variant("int8").batch_sensitivity
    assert kept.largest_move > 1e300, "it can be read, and is beyond every limit"


def test_the_evidence_has_the_measurements_of_every_variant(quantized: Workspace) -> None:
    recipe = Recipe(
        int8=Int8(gate=IMPOSSIBLE, search=NO_SEARCH),
        bench=Bench(tokens=(4, 9, 500), batch=2, rounds=1),
    )
    said = evaluate(quantized, recipe)
    kept = kept_evidence(quantized)
    assert kept.task == "text-classification"
    assert kept.labels == ["negative", "neutral", "positive"]
    fp32, int8 = kept.variants
    assert (fp32.accepted, fp32.reason) == (True, None)
    assert int8.reason == written(quantized).rejected["int8"]
    assert said.endswith(f"int8: REJECTED, {int8.reason}")
    moved, agreement = int8.limits
    assert (moved.name, moved.bound, moved.passed) == ("max_probability_difference", -1, False)
    assert moved.measured == int8.closeness.worst_probability_difference
    assert agreement.measured == int8.closeness.label_agreement
    assert fp32.closeness == written(quantized).accepted[0].closeness
    for variant in (fp32, int8):
        # 64 is what the model takes.
        shapes = [
            (time.tokens, time.texts)
            for time in written(quantized).measured.variants[variant.name].times
        ]
        assert shapes == [(4, 1), (9, 1), (64, 1), (4, 2), (9, 2), (64, 2)]
        folder = quantized.graph(variant.name).parent
        assert variant.size == sum(path.stat().st_size for path in folder.iterdir())
        distances_shown = [example.distance for example in variant.worst]
        assert distances_shown == sorted(distances_shown, reverse=True)
    worst = int8.worst[0]
    assert worst.distance == pytest.approx(int8.closeness.worst_probability_difference)
    assert worst.text in recipe.selftest_texts
    assert worst.original.label in kept.labels


def sentences(quantized: Workspace, folder: Path) -> Path:
    """Evaluation data whose labels are the original's answers but for every fourth."""
    from pipeline.original.library import answers, open_original

    words = ["good", "poor", "film", "never again", "works very well", "the battery lasts", "bad"]
    texts = [f"{one} {other}" for one in words for other in words]
    original = open_original(quantized.source, quantized.facts(Recipe()))
    best = answers(original, texts).argmax(axis=1)
    labels = [(int(a) + (n % 4 == 0)) % 3 for n, a in enumerate(best)]
    path = folder / "sentences.csv"
    rows = "".join(f"{text},{label}\n" for text, label in zip(texts, labels, strict=True))
    path.write_text(f"text,label\n{rows}")
    return path


def test_variants_are_compared_on_evaluation_data_with_its_labels_and_the_baseline(
    quantized: Workspace, tmp_path: Path
) -> None:
    recipe = Recipe(int8=Int8(gate=GENEROUS)).with_eval_data(sentences(quantized, tmp_path))
    said = evaluate(quantized, recipe)
    kept = kept_evidence(quantized)
    assert kept.eval_data.texts == 49
    assert kept.eval_data.sha256 == recipe.eval_data.sha256
    # 13 of 49 were given another label.
    assert kept.original.accuracy == pytest.approx(36 / 49)
    assert sum(map(sum, kept.original.confusion)) == 49
    fp32, int8 = (variant.on_evaluation_data for variant in kept.variants)
    assert (fp32.differing, fp32.flipped, fp32.label_agreement) == (0, 0, 1.0)
    assert fp32.scores == kept.original
    assert int8.differing == round(49 * (1 - int8.label_agreement))
    assert "accuracy 73.47%" in said
    assert kept.variants[1].worst[0].label in kept.labels
    names = {limit.name for limit in kept.variants[0].limits if limit.data == "evaluation"}
    assert {"max_accuracy_drop", "max_f1_drop", "min_label_agreement"} < names


@pytest.mark.parametrize("most", [referee.MAX_SHARE, 1.0])
def test_a_model_without_training_gets_no_referee(
    quantized: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: float
) -> None:
    monkeypatch.setattr(referee, "MAX_SHARE", most)
    words = ["good", "poor", "film", "never again", "works very well", "battery lasts", "bad"]
    texts = (" ".join(each) for each in product(words, repeat=3))
    path = tmp_path / "texts.csv"
    path.write_text("text\n" + "\n".join(texts))
    evaluate(quantized, Recipe(int8=Int8(gate=GENEROUS)).with_eval_data(path))
    fp32, int8 = written(quantized).accepted
    # The evidence tells what it would cost, and the report shows it.
    learnt = kept_evidence(quantized).variants[1].referee
    assert learnt.texts == 172
    assert learnt.share > referee.MAX_SHARE or most == 1.0
    assert int8.referee == (learnt if most == 1.0 else msgspec.UNSET)
    assert fp32.referee is msgspec.UNSET


def test_embedders_are_compared_by_cosine_and_by_ranks_of_pairs(
    quantized_embedder: Workspace, tmp_path: Path
) -> None:
    words = ["good", "poor", "film", "battery lasts"]
    lines = [f"{one}\t{other} screen" for one in words for other in words]
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(["text\ttext_pair", *lines]))
    evaluate(quantized_embedder, Recipe().with_eval_data(path))
    kept = kept_evidence(quantized_embedder)
    assert (kept.eval_data.texts, kept.eval_data.labelled) == (16, False)
    fp32, int8 = (variant.on_evaluation_data for variant in kept.variants)
    assert fp32.texts == 32, "an embedder answers a text and its pair apart"
    assert fp32.mean_cosine == pytest.approx(1, abs=1e-6)
    assert fp32.rank_correlation == pytest.approx(1, abs=1e-3)
    assert 0.95 < int8.mean_cosine < 1 - 1e-6
    assert 0.9 < int8.rank_correlation <= 1
    assert fp32.scores is None

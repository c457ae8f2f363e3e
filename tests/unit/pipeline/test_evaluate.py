"""evaluate: which variants are accepted, why the others are not, and what is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnxruntime as ort
import pytest

from pipeline import probes
from pipeline.recipe import Fp32, Int8, QuantizedGate, Recipe
from pipeline.steps import evaluate as evaluation
from pipeline.steps.evaluate import Evaluation, EvaluationError, evaluate
from storage_init import host
from storage_init.selftest import SelfTest, distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.workspace import Workspace

# No variant differs by less than nothing.
IMPOSSIBLE = QuantizedGate(min_cosine=2.0, max_probability_difference=-1.0, min_label_agreement=1.0)
GENEROUS = QuantizedGate(min_cosine=-1.0, max_probability_difference=1.0, min_label_agreement=0.0)


def written(workspace: Workspace) -> Evaluation:
    return msgspec.json.decode(workspace.evaluation.read_bytes(), type=Evaluation)


def test_variants_within_their_gates_are_accepted_with_what_was_measured(
    quantized: Workspace,
) -> None:
    recipe = Recipe(int8=Int8(gate=GENEROUS))
    said = evaluate(quantized, recipe)
    fp32, int8 = written(quantized).accepted
    assert said.startswith("fp32: worst logit difference ")
    assert "; int8: worst logit difference " in said
    assert (fp32.name, fp32.graph) == ("fp32", "fp32/model.onnx")
    assert fp32.requires.cpu_any_of == []
    assert int8.requires.cpu_any_of == []
    for variant in (fp32, int8):
        assert variant.closeness.texts == len(recipe.selftest_texts)
        assert variant.closeness.worst_logit_difference is not None
        assert variant.speed.alone_ms > 0
        assert variant.speed.batched_ms > 0
        assert variant.speed.batch == probes.BATCH
        assert variant.speed.cpu == host.cpu_model()
    fp32_off, int8_off = (v.closeness.worst_logit_difference for v in (fp32, int8))
    assert fp32_off is not None
    assert int8_off is not None
    assert fp32_off < 1e-4 < int8_off
    for variant in (fp32, int8):
        assert variant.batch_sensitivity.largest_move < 1e-5, "answers come from their own tokens"
        assert variant.batch_sensitivity.flipped_labels == 0
    assert int8.tolerance == pytest.approx(2 * int8_off)


def test_the_reference_is_the_torch_models_own_answer(quantized: Workspace) -> None:
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


def test_8_bit_weights_are_rejected_where_the_host_cannot_check_them(
    quantized: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "cpu_features", lambda: frozenset(["avx2", "avx512f"]))
    said = evaluate(quantized, Recipe(int8=Int8(weight_bits=8)))
    result = written(quantized)
    assert [variant.name for variant in result.accepted] == ["fp32"]
    assert result.rejected == {"int8": "this CPU has none of avx512_vnni, avx_vnni, asimd"}
    assert "int8: REJECTED, this CPU has none of avx512_vnni" in said


def test_a_variant_beyond_its_gate_is_left_out_with_the_figure(quantized: Workspace) -> None:
    said = evaluate(quantized, Recipe(int8=Int8(gate=IMPOSSIBLE)))
    result = written(quantized)
    assert [variant.name for variant in result.accepted] == ["fp32"]
    assert result.rejected["int8"].startswith("a probability moves by 0.")
    assert result.rejected["int8"].endswith(", more than -1.0")
    assert said.endswith(f"int8: REJECTED, {result.rejected['int8']}")


def test_it_is_an_error_with_figures_if_no_variant_passes(quantized: Workspace) -> None:
    recipe = Recipe(fp32=Fp32(gate=IMPOSSIBLE), int8=Int8(gate=IMPOSSIBLE))
    with pytest.raises(EvaluationError) as refused:
        evaluate(quantized, recipe)
    message = str(refused.value)
    assert message.startswith("no variant is close enough to the original (fp32: a probability")
    assert "; int8: a probability moves by 0." in message
    assert message.count("more than -1.0") == 2


def test_a_variant_that_breaks_only_in_a_padded_batch_is_rejected(
    quantized: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_together = evaluation._Candidate.run_together

    def broken(candidate: evaluation._Candidate) -> NDArray[Any]:
        rows = run_together(candidate)
        return rows * np.nan if candidate.name == "int8" else rows

    monkeypatch.setattr(evaluation._Candidate, "run_together", broken)
    evaluate(quantized, Recipe(int8=Int8(gate=GENEROUS)))
    result = written(quantized)
    assert [variant.name for variant in result.accepted] == ["fp32"]
    assert "int8" in result.rejected


def test_a_packed_form_requires_the_very_host_it_was_packed_on(quantized: Workspace) -> None:
    evaluate(quantized, Recipe(int8=Int8(gate=GENEROUS)))
    fp32, int8 = written(quantized).accepted
    assert fp32.packed is None
    assert int8.packed is not None
    assert int8.packed.graph == "int8/packed.onnx"
    assert int8.packed.requires.cpu_exactly == host.kernel_features() != []
    assert int8.packed.requires.onnxruntime == ort.__version__


def test_what_was_measured_is_what_the_selftest_will_find(quantized: Workspace) -> None:
    """The tolerance leaves room: the distance that a predictor measures is half of it."""
    from storage_init.runtime import Tokenizer, input_names, open_session, run_answer

    recipe = Recipe(int8=Int8(gate=GENEROUS))
    evaluate(quantized, recipe)
    facts = quantized.facts(recipe)
    selftest = SelfTest.load(quantized.selftest)
    tokenizer = Tokenizer(quantized.exported / "tokenizer.json", 64, facts.pad_token_id)
    session = open_session(quantized.graph("int8"))
    names = input_names(session)
    rows = [
        run_answer(session, tokenizer.feeds([e], names)) for e in tokenizer.encode(selftest.texts)
    ]
    far = distances(facts.task, np.concatenate(rows), selftest.reference).max()
    assert written(quantized).accepted[1].tolerance == pytest.approx(2 * far)

"""Zero-shot classification: hypotheses for candidate labels, and their scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from predictor.engine.tasks.registry import task_for
from predictor.engine.tasks.zero_shot import find_entailment
from predictor.errors import InvalidRequestError, TooLargeError
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from storage_init.format.tasks import TextClassification

NLI = ["contradiction", "neutral", "ENTAILMENT"]
TASK = task_for(TextClassification(labels=NLI, activation="softmax"))
LOGITS = np.array([[1, 0, 3], [0, 9, 1], [2, 0, 1], [0, 0, 5]], dtype=np.float32)


def parameters(labels: Any, **others: Any) -> Parameters:
    return Parameters.parse({"candidate_labels": labels, **others})


def answer(labels: Any, rows: Any = LOGITS, **others: Any) -> dict[str, Any]:
    texts = Texts(["a"] * (len(rows) // 2))
    return TASK.postprocess(texts, rows, parameters(labels, **others))


def softmax(*logits: float) -> float:
    return float(np.exp(logits[0]) / np.exp(logits).sum())


@pytest.mark.parametrize(
    "labels", [["sport", "a, b"], '["sport", "a, b"]'], ids=["a list", "a list in JSON"]
)
def test_each_text_is_paired_with_each_hypothesis(labels: Any) -> None:
    asked = TASK.preprocess(Texts(["x", "y"], truncate=False), parameters(labels))
    one, other = "This example is sport.", "This example is a, b."
    assert asked == Texts(["x", "x", "y", "y"], [one, other, one, other], truncate=False)


def test_labels_may_be_listed_with_commas_and_a_template_given() -> None:
    given = parameters("sport, art,", hypothesis_template="About {}!")
    assert TASK.preprocess(Texts(["x"]), given).pairs == ["About sport!", "About art!"]


def test_a_template_is_not_evaluated_as_a_format_string() -> None:
    given = parameters(["a"], hypothesis_template="{0.__class__} {:>9} {}")
    assert TASK.preprocess(Texts(["x"]), given).pairs == ["{0.__class__} {:>9} a"]


def test_labels_share_a_total_of_1_by_their_entailment() -> None:
    outputs = answer(["sport", "art"])
    wanted = [[softmax(3, 1), softmax(1, 3)], [softmax(1, 5), softmax(5, 1)]]
    np.testing.assert_allclose(outputs["probabilities"], wanted, rtol=1e-5)
    assert outputs["label"].tolist() == [b"sport", b"art"]
    np.testing.assert_allclose(outputs["score"], [wanted[0][0], wanted[1][1]], rtol=1e-5)


def test_multi_label_scores_each_label_against_contradiction() -> None:
    outputs = answer(["sport", "art"], multi_label=True, top_k=2)
    wanted = [[softmax(3, 1), softmax(1, 0)], [softmax(1, 2), softmax(5, 0)]]
    np.testing.assert_allclose(outputs["probabilities"], wanted, rtol=1e-5)
    assert outputs["label"].tolist() == [[b"sport", b"art"], [b"art", b"sport"]]


def test_a_single_label_is_scored_against_contradiction() -> None:
    outputs = TASK.postprocess(Texts(["x"] * 4), LOGITS, parameters(["sport"]))
    np.testing.assert_allclose(outputs["probabilities"][0], [softmax(3, 1)], rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"candidate_labels": []}, "candidate_labels must hold strings"),
        ({"candidate_labels": " , "}, "candidate_labels holds no label"),
        ({"candidate_labels": ["a"], "hypothesis_template": "no place"}, "a string with {} where"),
        ({"candidate_labels": ["a"], "hypothesis_template": 3}, "a string with {} where"),
        ({"candidate_labels": ["a"], "multi_label": 1}, "multi_label must be true or false"),
        ({"candidate_labels": ["a"], "function_to_apply": "relu"}, "function_to_apply must be"),
        # What the schema refuses is refused without labels, too.
        ({"candidate_labels": None, "hypothesis_template": False}, "a string with {} where"),
        ({"multi_label": "yes"}, "multi_label must be true or false"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        TASK.preprocess(Texts(["x"]), Parameters.parse(given))


def test_pairs_and_models_without_entailment_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="take single texts, no pairs"):
        TASK.preprocess(Texts(["x"], ["y"]), parameters(["a"]))
    other = task_for(TextClassification(labels=["no", "yes"], activation="softmax"))
    with pytest.raises(InvalidRequestError, match=r"with a label entailment; .* no, yes$"):
        other.preprocess(Texts(["x"]), parameters(["a"]))


@pytest.mark.parametrize(
    ("texts", "labels", "template"),
    [(1024, 2048, "{}"), (1, 1000, "{}" * 9000), (1, 9000, "x" * 1000 + "{}")],
)
def test_hypotheses_beyond_all_limits_are_refused_before_they_are_made(
    texts: int, labels: int, template: str
) -> None:
    given = parameters(["a"] * labels, hypothesis_template=template)
    with pytest.raises(TooLargeError, match=f"candidate_labels make {texts * labels} pairs"):
        TASK.preprocess(Texts(["x"] * texts), given)


def test_the_label_of_entailment_is_found_as_in_transformers() -> None:
    assert find_entailment(NLI) == 2
    assert find_entailment(["entailment", "not_entailment"]) == 0
    assert find_entailment(["LABEL_0", "LABEL_1", "not_entailment"]) is None


def test_metadata_fixes_the_number_of_labels_only_without_entailment() -> None:
    other = task_for(TextClassification(labels=["no", "yes"], activation="softmax"))
    for task, probabilities, logits in ((TASK, [-1, -1], [-1, 3]), (other, [-1, 2], [-1, 2])):
        described = {t["name"]: (t["datatype"], t["shape"]) for t in task.output_types}
        assert described == {
            "label": ("BYTES", [-1]),
            "score": ("FP32", [-1]),
            "probabilities": ("FP32", probabilities),
            "logits": ("FP32", logits),
        }

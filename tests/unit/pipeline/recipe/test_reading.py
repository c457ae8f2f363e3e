"""Errors for recipes name all mistakes at once, with line, field and the likely intention."""

from __future__ import annotations

import pytest

from pipeline.recipe.reading import RecipeError, from_json, from_yaml
from pipeline.recipe.recipe import Recipe

NUMBER = "1e-4: write it without quotes, and with a dot if it has an exponent"


def refusal(text: str) -> str:
    with pytest.raises(RecipeError) as refused:
        from_yaml(text, "r.yaml", Recipe)
    return str(refused.value)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null"])
def test_an_empty_text_is_the_default_recipe(text: str) -> None:
    assert from_yaml(text, "r.yaml", Recipe) == Recipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tsk: auto", "1: tsk: unknown field; did you mean task?"),
        (
            "\nint8:\n  weight_bit: 8",
            "3: int8.weight_bit: unknown field; did you mean weight_bits?",
        ),
        ("int8: {wild: 8}", "1: int8.wild: unknown field; known are weight_bits, packed, exclude,"),
        ("int8: {weight_bits: 6}", "1: int8.weight_bits: 6 is not one of 7, 8"),
        ("opset: '18'", "1: opset: expected int, got str (18: write it without quotes"),
        ("opset: 17", "1: opset: expected int >= 18"),
        ("max_length: many", "1: max_length: expected int | null, got str"),
        ("variants: []", "1: variants: expected list of length >= 1"),
        ("variants:\n  - fp32\n  - fp16", "3: variants[1]: 'fp16' is not one of fp32, int8, bf16-"),
        ("variants: [int8, int8]", "1: variants: int8 is named twice"),
        ("selftest_texts: [good, 2]", "1: selftest_texts[1]: expected str | list, got int"),
        ("fp32:\n  gate:\n    min_cosine: 1e-4", f"3: fp32.gate.min_cosine: {{}} ({NUMBER})"),
        ("fp32: {gate: {min_cosine: 95}}", "1: fp32.gate.min_cosine: expected float <= 1.0"),
        ("int8: 8", "1: int8: expected mapping, got int"),
        ("[fp32]", "1: expected mapping, got list"),
        ("opset: 18\n\nopset: 19", "3: opset: is on line 1 already"),
        ("1: 2", "1: 1 is no field's name"),
        ("opset: 18\ntask: [auto", "2: expected ',' or ']'"),
        ("task:\n\tauto", "2: found character '\\t' that cannot start any token"),
        ("x: !!python/object:os.system {}", "1: could not determine a constructor"),
        ("task: \x07", " unacceptable character"),
    ],
)
def test_the_error_for_a_mistake_names_its_line_and_field(text: str, message: str) -> None:
    assert refusal(text).startswith("r.yaml:" + message.format("expected float, got str"))


def test_the_error_names_all_mistakes_in_the_order_of_the_file() -> None:
    text = """
variants: [fp16, int9]
fp32:
  gate: {min_label_agreement: 2}
int8:
  gate:
    evaluation:
      max_accuracy_dorp: 0.1
      max_f1_drop: none
tsk: auto
"""
    lines = refusal(text).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["r.yaml:2", "variants[0]"],
        ["r.yaml:4", "fp32.gate.min_label_agreement"],
        ["r.yaml:8", "int8.gate.evaluation.max_accuracy_dorp"],
        ["r.yaml:9", "int8.gate.evaluation.max_f1_drop"],
        ["r.yaml:10", "tsk"],
    ]
    assert lines[2].endswith("did you mean max_accuracy_drop?")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"tsk": "auto", "opset": "x"}', "recipe: tsk: unknown field; did you mean task?"),
        ('{"tsk": "auto", "opset": "x"}', "recipe: opset: expected int, got str"),
        ("{", "recipe: Input data was truncated"),
        ("[]", "recipe: expected mapping, got list"),
    ],
)
def test_the_errors_for_json_name_every_mistake(text: str, problem: str) -> None:
    # In a cluster, the recipe is a pipeline parameter that somebody typed.
    with pytest.raises(RecipeError) as refused:
        from_json(text, Recipe)
    assert problem in str(refused.value).splitlines()

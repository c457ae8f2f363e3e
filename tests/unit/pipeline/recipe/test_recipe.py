"""Reading recipes, and the digests and keys that decide whether a preparation is a hit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.recipe.errors import RecipeError
from pipeline.recipe.recipe import (
    Bench,
    Bf16Openvino,
    EvalData,
    Int8,
    QuantizedGate,
    Recipe,
    from_json,
    read_recipe,
)
from storage_init.format.package import Requires, Source
from storage_init.running import host
from storage_init.running.providers import OPENVINO

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = Source(uri="hf://owner/name", revision="a" * 40)


def recipe_file(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_overrides_the_defaults_it_names_and_no_others(tmp_path: Path) -> None:
    text = """
    task: text-embedding
    max_length: 128
    int8:
      weight_bits: 8
      exclude: [MatMul_7]
    selftest_texts: [good, "ça va"]
    """
    recipe = read_recipe(recipe_file(tmp_path, text))
    assert (recipe.task, recipe.max_length) == ("text-embedding", 128)
    assert (recipe.int8.weight_bits, recipe.int8.exclude) == (8, ("MatMul_7",))
    assert recipe.selftest_texts == ("good", "ça va")
    assert recipe.int8.gate == Recipe().int8.gate
    assert recipe.variants == Recipe().variants


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_a_recipe_of_defaults(tmp_path: Path, text: str) -> None:
    assert read_recipe(recipe_file(tmp_path, text)) == Recipe()


def test_no_file_is_a_recipe_of_defaults() -> None:
    assert read_recipe(None) == Recipe()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.yaml cannot be read: No such file"):
        read_recipe(tmp_path / "absent.yaml")


def test_the_digest_depends_on_content_alone(tmp_path: Path) -> None:
    one = read_recipe(recipe_file(tmp_path, "opset: 18\nmax_length: 64\n"))
    # Another order, a default written out.
    two = read_recipe(recipe_file(tmp_path, "max_length: 64\ntask: auto\nopset: 18"))
    assert one.digest == two.digest
    assert one.digest != Recipe().digest


def test_every_field_counts_in_the_digest() -> None:
    changes: dict[str, object] = {
        "task": "text-embedding",
        "max_length": 32,
        "weights": "onnx",
        "opset": 19,
        "variants": ("fp32",),
        "fp32": msgspec.structs.replace(Recipe().fp32, gate=Recipe().int8.gate),
        "int8": msgspec.structs.replace(Recipe().int8, weight_bits=8),
        "bf16_openvino": Bf16Openvino(required=False),
        "eval_data": EvalData(sha256="a" * 64),
        "bench": Bench(batch=8),
        "selftest_texts": ("good",),
    }
    assert set(changes) == set(Recipe.__struct_fields__)
    digests = {msgspec.structs.replace(Recipe(), **{k: v}).digest for k, v in changes.items()}
    assert len(digests | {Recipe().digest}) == len(changes) + 1


def test_the_key_depends_on_revision_and_recipe_but_not_on_how_the_source_is_written() -> None:
    key = Recipe().key(SOURCE)
    assert key == Recipe().key(msgspec.structs.replace(SOURCE, uri="file:///x", license="mit"))
    assert key != Recipe().key(msgspec.structs.replace(SOURCE, revision="b" * 40))
    assert key != Recipe(opset=19).key(SOURCE)


def test_json_brings_back_the_recipe(tmp_path: Path) -> None:
    text = "variants: [int8]\nint8: {exclude: [a, b]}\nmax_length: 9\nselftest_texts: ['😀']"
    recipe = read_recipe(recipe_file(tmp_path, text))
    assert from_json(recipe.to_json()) == recipe


def test_json_without_fields_is_the_defaults() -> None:
    assert from_json("{}") == Recipe()


def test_only_8_bit_weights_need_a_cpu_that_multiplies_them_exactly() -> None:
    assert Recipe().requires("int8") == Recipe().requires("fp32") == Requires()
    exact = Recipe(int8=Int8(weight_bits=8))
    assert exact.requires("int8") == Requires(cpu_any_of=host.EXACT_INT8)
    assert exact.requires("fp32") == Requires()


def test_the_section_of_a_variant_has_its_name(tmp_path: Path) -> None:
    text = "variants: [fp32, bf16-openvino]\nbf16-openvino: {gate: {min_cosine: 0.99}}"
    recipe = read_recipe(recipe_file(tmp_path, text))
    assert recipe.gate("bf16-openvino").min_cosine == 0.99
    assert recipe.gate("fp32") == Recipe().fp32.gate
    assert recipe.requires("bf16-openvino") == Requires(provider=OPENVINO, cpu_any_of=host.BF16)
    assert (recipe.precision("bf16-openvino"), recipe.precision("fp32")) == ("bf16", None)
    assert from_json(recipe.to_json()) == recipe
    with pytest.raises(RecipeError, match=r"bf16_openvino: unknown field; did you mean bf16-openv"):
        read_recipe(recipe_file(tmp_path, "bf16_openvino: {required: false}"))


def test_a_gate_that_states_one_limit_keeps_the_others(tmp_path: Path) -> None:
    recipe = read_recipe(recipe_file(tmp_path, "int8: {gate: {min_cosine: 0.9}}"))
    assert recipe.int8.gate == QuantizedGate(min_cosine=0.9)
    assert recipe.int8.gate.min_label_agreement == 0.85


def test_a_question_may_come_with_its_context(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("selftest_texts: [a context, [who, another]]")
    found = read_recipe(path)
    assert found.selftest_texts == ("a context", ("who", "another"))
    assert from_json(found.to_json()) == found
    path.write_text("selftest_texts: [[who, what, when]]")
    with pytest.raises(RecipeError, match=r"selftest_texts\[0\]|length 2"):
        read_recipe(path)


def test_evaluation_data_counts_by_content_wherever_it_lies(tmp_path: Path) -> None:
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    for path in (here, there):
        path.write_text('{"text": "good"}\n')
    recipe = Recipe().with_eval_data(here)
    assert recipe.digest == Recipe().with_eval_data(there).digest != Recipe().digest
    there.write_text('{"text": "bad"}\n')
    assert recipe.digest != Recipe().with_eval_data(there).digest
    with pytest.raises(ValueError, match="use with_eval_data"):
        _ = Recipe(eval_data=EvalData(path=str(here))).digest


def test_evaluation_data_is_found_beside_the_recipe_and_pinned(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"text": "good"}\n')
    recipe = read_recipe(recipe_file(tmp_path, "eval_data: {path: mine.jsonl}"))
    assert recipe == Recipe().with_eval_data(tmp_path / "mine.jsonl")
    # What a step of a cluster reads is what the first one read.
    assert from_json(recipe.to_json()) == recipe
    (tmp_path / "mine.jsonl").write_text('{"text": "bad"}\n')
    with pytest.raises(RecipeError, match=r"mine\.jsonl has SHA-256 [0-9a-f]{64}, not"):
        from_json(recipe.to_json())


def test_evaluation_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"mine\.jsonl cannot be read: No such file"):
        read_recipe(recipe_file(tmp_path, "eval_data: {path: mine.jsonl}"))

"""Reading recipes, and the digests and keys that decide whether a preparation is a hit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.recipe.limits import QuantizedGate
from pipeline.recipe.reading import RecipeError
from pipeline.recipe.recipe import (
    EvalData,
    Int8,
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


def read(folder: Path, text: str) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


def test_yaml_overrides_only_the_defaults_that_it_names(tmp_path: Path) -> None:
    text = """
    task: text-embedding
    max_length: 128
    int8:
      weight_bits: 8
      exclude: [MatMul_7]
      gate: {min_cosine: 0.9}
    selftest_texts: [good, "ça va", [who, another]]
    """
    recipe = read(tmp_path, text)
    assert (recipe.task, recipe.max_length) == ("text-embedding", 128)
    assert recipe.int8 == Int8(
        weight_bits=8, exclude=("MatMul_7",), gate=QuantizedGate(min_cosine=0.9)
    )
    assert recipe.int8.gate.min_label_agreement == 0.85
    assert recipe.selftest_texts == ("good", "ça va", ("who", "another"))
    assert recipe.variants == Recipe().variants
    assert from_json(recipe.to_json()) == recipe
    with pytest.raises(RecipeError, match=r"selftest_texts\[0\]|length 2"):
        read(tmp_path, "selftest_texts: [[who, what, when]]")


def test_the_errors_for_files_that_cannot_be_read_name_them(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.yaml cannot be read: No such file"):
        read_recipe(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"task: \xe7a")
    with pytest.raises(RecipeError, match=r"latin\.yaml is not UTF-8"):
        read_recipe(tmp_path / "latin.yaml")
    with pytest.raises(RecipeError, match=r"mine\.jsonl cannot be read: No such file"):
        read(tmp_path, "eval_data: {path: mine.jsonl}")


def test_the_digest_depends_on_content_alone(tmp_path: Path) -> None:
    one = read(tmp_path, "opset: 18\nmax_length: 64\n")
    # In another order, and with a default written out.
    two = read(tmp_path, "max_length: 64\ntask: auto\nopset: 18")
    assert one.digest == two.digest
    assert one.digest != Recipe().digest


def test_the_default_recipes_digest_is_the_same_in_every_release() -> None:
    # Another digest means that every store prepares its models again.
    assert Recipe().digest.startswith("c30589cdd8")


def test_the_key_depends_on_revision_and_recipe_but_not_on_how_the_source_is_written() -> None:
    key = Recipe().key(SOURCE)
    assert key == Recipe().key(msgspec.structs.replace(SOURCE, uri="file:///x", license="mit"))
    assert key != Recipe().key(msgspec.structs.replace(SOURCE, revision="b" * 40))
    assert key != Recipe(opset=19).key(SOURCE)


def test_equal_etags_of_two_urls_are_two_keys() -> None:
    one, two = (Source(f"https://host/x.zip?model={each}", 'etag:"1"') for each in "ab")
    assert Recipe().key(one) != Recipe().key(two)


def test_only_8_bit_weights_need_a_cpu_that_multiplies_them_exactly() -> None:
    assert Recipe().requires("int8") == Recipe().requires("fp32") == Requires()
    exact = Recipe(int8=Int8(weight_bits=8))
    assert exact.requires("int8") == Requires(cpu_any_of=host.EXACT_INT8)
    assert exact.requires("fp32") == Requires()


def test_a_variants_section_has_the_variants_name(tmp_path: Path) -> None:
    text = "variants: [fp32, bf16-openvino]\nbf16-openvino: {gate: {min_cosine: 0.99}}"
    recipe = read(tmp_path, text)
    assert recipe.gate("bf16-openvino").min_cosine == 0.99
    assert recipe.gate("fp32") == Recipe().fp32.gate
    assert recipe.requires("bf16-openvino") == Requires(provider=OPENVINO, cpu_any_of=host.BF16)
    assert (recipe.precision("bf16-openvino"), recipe.precision("fp32")) == ("bf16", None)
    assert from_json(recipe.to_json()) == recipe
    with pytest.raises(RecipeError, match=r"bf16_openvino: unknown field; did you mean bf16-openv"):
        read(tmp_path, "bf16_openvino: {required: false}")


def test_evaluation_data_counts_by_content_and_not_by_path(tmp_path: Path) -> None:
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
    recipe = read(tmp_path, "eval_data: {path: mine.jsonl}")
    assert recipe == Recipe().with_eval_data(tmp_path / "mine.jsonl")
    # Every step of a cluster reads the data that the first step read.
    assert from_json(recipe.to_json()) == recipe
    (tmp_path / "mine.jsonl").write_text('{"text": "bad"}\n')
    with pytest.raises(RecipeError, match=r"mine\.jsonl has SHA-256 [0-9a-f]{64}, not"):
        from_json(recipe.to_json())

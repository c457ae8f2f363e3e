"""Lists of models, with a recipe of their own, a recipe file, or the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.recipe.models import Model, ModelsError, read_models
from pipeline.recipe.reading import RecipeError
from pipeline.recipe.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = Recipe(max_length=64)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(text)
    return path


def test_a_model_has_the_recipe_in_the_list_or_in_a_file_or_the_default(tmp_path: Path) -> None:
    (tmp_path / "fp32.yaml").write_text("variants: [fp32]")
    path = write(
        tmp_path,
        """
- {source: hf://owner/a, name: a}
- {source: hf://owner/b, name: b, recipe: fp32.yaml}
- source: hf://owner/c
  name: c
  recipe: {max_length: 32}
""",
    )
    models = read_models(path, DEFAULT)
    assert models == [
        Model("hf://owner/a", "a", DEFAULT),
        Model("hf://owner/b", "b", Recipe(variants=("fp32",))),
        Model("hf://owner/c", "c", Recipe(max_length=32)),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "length >= 1"),
        ("- {source: hf://owner/a}", "missing required field `name`"),
        ("- {source: a, name: a b}", "`$[0].name`"),
        ("- {source: a, name: a, reciep: x}", "unknown field `reciep`"),
        ("- {source: a, name: a, recipe: {tsk: 1}}", "unknown field `tsk`"),
        ("- {source: a, name: m}\n- {source: b, name: m}", "names m twice"),
    ],
)
def test_the_error_for_a_mistake_names_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ModelsError) as raised:
        read_models(write(tmp_path, text), DEFAULT)
    assert problem in str(raised.value)
    assert "models.yaml" in str(raised.value)


def test_the_error_for_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"absent\.yaml cannot be read"):
        read_models(tmp_path / "absent.yaml", DEFAULT)
    with pytest.raises(RecipeError, match=r"other\.yaml cannot be read"):
        read_models(write(tmp_path, "- {source: a, name: a, recipe: other.yaml}"), DEFAULT)


def test_evaluation_data_of_an_entry_lies_beside_the_list(tmp_path: Path) -> None:
    data = tmp_path / "mine.csv"
    data.write_text("text\ngood\n")
    path = write(tmp_path, "- {source: a, name: a, recipe: {eval_data: {path: mine.csv}}}")
    (model,) = read_models(path, DEFAULT)
    assert model.recipe == Recipe().with_eval_data(data)
    assert model.recipe.digest
    data.unlink()
    with pytest.raises(RecipeError, match=r"mine\.csv cannot be read"):
        read_models(path, DEFAULT)

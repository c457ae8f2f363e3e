"""The recipe in words: what is printed to start from, the reference and the schema."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from pipeline.__main__ import main
from pipeline.recipe.docs import default_yaml, reference, schema
from pipeline.recipe.reading import from_yaml
from pipeline.recipe.recipe import Gate, Recipe
from storage_init.raw.hf_config import TaskName

TASKS: tuple[TaskName, ...] = get_args(TaskName)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_printed_is_the_default_recipe_of_the_task(task: TaskName) -> None:
    text = default_yaml(task)
    assert from_yaml(text, "r.yaml", Recipe) == Recipe(task=task)
    assert max(map(len, text.splitlines())) < 110


@pytest.mark.parametrize("task", TASKS)
def test_every_field_has_a_comment_above_it(task: TaskName) -> None:
    lines = default_yaml(task).splitlines()
    fields = [n for n, line in enumerate(lines) if line.lstrip().partition(":")[0].isidentifier()]
    assert len(fields) > 25
    texts = lines.index("selftest_texts:")
    for number in fields:
        if number <= texts:
            assert lines[number - 1].lstrip().startswith("#"), lines[number]


def test_a_task_has_its_own_limits_and_no_others() -> None:
    classifier, embedder = default_yaml("text-classification"), default_yaml("text-embedding")
    assert "max_accuracy_drop: 0.01" in classifier
    assert "min_cosine" not in classifier
    assert "min_cosine: 0.97" in embedder
    assert "accuracy" not in embedder
    for field in Gate.__struct_fields__:
        assert f"{field}:" in default_yaml("auto")


def test_every_section_and_field_is_in_the_reference() -> None:
    text = reference()
    for title in ("The whole", "int8.gate.evaluation", "bf16-openvino", "bench"):
        assert f"\n### {title}\n" in f"\n{text}"
    assert "| `weight_bits` | `7`, `8` | `7` |" in text
    assert "| `max_length` | whole number ≥ 4 or null | `null` |" in text
    assert "| `tokens` | list of whole number ≥ 3 | `[8,16,32,64]` |" in text


def test_the_schema_describes_the_recipe() -> None:
    document = msgspec.json.decode(schema())
    assert set(document["$defs"]["Recipe"]["properties"]) == {
        field.encode_name for field in msgspec.structs.fields(Recipe)
    }
    assert document["$defs"]["Recipe"]["additionalProperties"] is False


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "--task=text-embedding"]) == 0
    assert capsys.readouterr().out == default_yaml("text-embedding")

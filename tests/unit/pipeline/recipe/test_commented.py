"""The default recipe with comments, as ``python -m pipeline recipe`` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from pipeline.__main__ import main
from pipeline.recipe.commented import default_yaml
from pipeline.recipe.limits import Gate
from pipeline.recipe.reading import from_yaml
from pipeline.recipe.recipe import Recipe
from storage_init.raw.hf_config import TaskName

if TYPE_CHECKING:
    from collections.abc import Sequence

TASKS: Sequence[TaskName] = get_args(TaskName)


@pytest.mark.parametrize("task", TASKS)
def test_the_printed_recipe_is_the_default_with_a_comment_above_every_field(
    task: TaskName, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recipe", f"--task={task}"]) == 0
    text = capsys.readouterr().out
    assert text == default_yaml(task)
    assert from_yaml(text, "r.yaml", Recipe) == Recipe(task=task)
    lines = text.splitlines()
    assert max(map(len, lines)) < 110
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

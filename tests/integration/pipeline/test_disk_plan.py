"""``--dry-run`` says how much disk the preparation then takes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.commands.plan import plan
from pipeline.preparation import runner
from pipeline.preparation.progress import Lines
from pipeline.recipe.recipe import Bench, Recipe
from storage_init import sources
from storage_init.base.space import used_bytes
from storage_init.store import publish as to_store
from storage_init.store.layout import Store
from tests.support.models.models import make_classifier, source

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::Warning")]


def saved_as(dtype: str, folder: Path) -> Path:
    """A classifier of 4 million weights, most of them in layers as of a real model."""
    import torch
    import transformers

    torch.manual_seed(0)
    small = source(make_classifier)
    config = transformers.AutoConfig.from_pretrained(small)
    config.update({"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4})
    model = transformers.BertForSequenceClassification(config)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(small).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("dtype", "variants"), [("float32", ("fp32", "int8")), ("bfloat16", ("fp32",))]
)
def test_the_disk_of_a_dry_run_is_that_of_the_run(
    dtype: str, variants: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = saved_as(dtype, tmp_path / "model"), Store(tmp_path / "store")
    recipe = Recipe(variants=variants, bench=Bench(tokens=(8,), rounds=1))
    pinned = sources.resolve(str(folder))
    said = plan(pinned, "m", store, recipe)
    used: list[int] = []
    publish_to = to_store.publish

    def watched(*arguments: Any, **settings: Any) -> Any:
        # The version is complete, and so is all that it was made of: there is never more.
        used.append(used_bytes(store.root))
        return publish_to(*arguments, **settings)

    monkeypatch.setattr("pipeline.steps.publish.publish_to", watched)
    runner.prepare(pinned, "m", store, recipe, Lines(io.StringIO()))
    (most,) = used
    assert said.disk_bytes == pytest.approx(most, rel=0.2)
    assert said.kept_bytes == pytest.approx(used_bytes(store.root), rel=0.2)

"""A whole model of every architecture passes the check of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from pipeline.original.heads import head_of
from pipeline.original.weights import check_weights
from storage_init.raw.hf_config import read_facts
from tests.architectures import models
from tests.architectures.catalogue import ARCHITECTURES
from tests.architectures.models import Head

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.raw.hf_config import TaskName
    from tests.architectures.catalogue import Architecture

TASKS: dict[Head, TaskName] = {
    "classifier": "text-classification",
    "embedder": "text-embedding",
    "reranker": "text-ranking",
    "tagger": "token-classification",
    "reader": "question-answering",
    "masked": "fill-mask",
}
# Not every architecture is prepared; these are refused for another reason, by their type.
REFUSED = ("funnel", "longformer", "fnet", "mra")
PREPARED = [each for each in ARCHITECTURES if each.model_type not in REFUSED]


@pytest.mark.slow  # two hundred models
@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize("head", get_args(Head))
@pytest.mark.parametrize("architecture", PREPARED, ids=lambda each: each.name)
def test_whole_weights_are_accepted(architecture: Architecture, head: Head, tmp_path: Path) -> None:
    try:
        folder = models.make(architecture, head, tmp_path)
    except models.NoSuchModelError:
        return
    task = read_facts(folder, TASKS[head]).task
    check_weights(folder, head_of(folder, task), task)

"""transformers' own pipelines, which our answers are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def original(task: str, folder: Path, **settings: Any) -> Any:
    """The pipeline of that name over a model folder."""
    import torch
    from transformers import pipeline

    # A tiny model's threads wait for each other longer than they work.
    torch.set_num_threads(1)
    return pipeline(task, model=str(folder), **settings)

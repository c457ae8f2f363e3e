"""The original model's answers, computed once a preparation and kept in its workspace.

The export computes them while PyTorch is loaded anyway, so the evaluation needs no PyTorch.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.recipe.recipe import Example
    from storage_init.raw.hf_config import ModelFacts


FOLDER = "answers"


def computed_once(
    root: Path,
    facts: ModelFacts,
    texts: Sequence[Example],
    compute: Callable[[], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return the answers kept below ``root`` for a model and texts, or compute and keep them."""
    key = hashlib.sha256(msgspec.json.encode([facts, texts])).hexdigest()
    path = root / FOLDER / f"{key}.npy"
    if path.exists():
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    answers = compute()
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        np.save(file, answers, allow_pickle=False)
    draft.replace(path)
    return answers

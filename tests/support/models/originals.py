"""The answers of transformers and sentence-transformers, with which ours are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def original(task: str, folder: Path, **settings: Any) -> Any:
    """transformers' pipeline of that name over a model folder."""
    from transformers import pipeline

    _use_one_thread()
    return pipeline(task, model=str(folder), **settings)


def original_vectors(folder: Path, texts: Sequence[str], **settings: Any) -> NDArray[np.float32]:
    """The vectors [N, D] of texts by sentence-transformers' ``SentenceTransformer``."""
    from sentence_transformers import SentenceTransformer

    _use_one_thread()
    vectors: NDArray[np.float32] = SentenceTransformer(str(folder)).encode(texts, **settings)
    return vectors


def original_scores(
    folder: Path, query: str, documents: Sequence[str], **settings: Any
) -> NDArray[np.float32]:
    """The scores [N] of a query with each document by sentence-transformers' ``CrossEncoder``."""
    from sentence_transformers import CrossEncoder

    _use_one_thread()
    pairs = [(query, document) for document in documents]
    scores: NDArray[np.float32] = CrossEncoder(str(folder)).predict(pairs, **settings)
    return scores


def _use_one_thread() -> None:
    import torch

    # The threads of a tiny model wait for each other longer than they work.
    torch.set_num_threads(1)

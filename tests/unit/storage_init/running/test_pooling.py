"""Pooling in numpy against sentence-transformers' own."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from storage_init.format.tasks import Pooling
from storage_init.running.pooling import normalized, pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=np.int64)


def hidden_states() -> NDArray[np.float32]:
    hidden = np.random.default_rng(4).normal(size=(3, 4, 5)).astype(np.float32)
    # All negative, so that a maximum over the zeros of the padding would show.
    hidden[1] = -np.abs(hidden[1])
    # The states of padding are arbitrary and must not show.
    hidden[MASK == 0] = 1e4
    return hidden


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_pooling_equals_that_of_sentence_transformers(pooling: Pooling) -> None:
    import torch
    from sentence_transformers.sentence_transformer.modules import Pooling as Original

    hidden = hidden_states()
    features = {
        "token_embeddings": torch.from_numpy(hidden),
        "attention_mask": torch.from_numpy(MASK),
    }
    wanted = Original(5, pooling_mode=pooling)(features)["sentence_embedding"].numpy()
    got = pool(hidden, MASK, pooling)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    assert got.dtype == np.float32


def test_vectors_get_length_1_and_zero_vectors_stay_zero() -> None:
    got = normalized(np.array([[3, 4], [0, 0]], dtype=np.float32))
    np.testing.assert_allclose(got, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    assert got.dtype == np.float32

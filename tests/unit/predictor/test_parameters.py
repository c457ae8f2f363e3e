"""Request parameters: what is taken, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from predictor.errors import InvalidRequestError
from predictor.parameters import Parameters


def test_without_parameters_texts_are_cut_and_one_label_is_given() -> None:
    assert Parameters.parse({}) == Parameters(top_k=None, truncation=True)


def test_ours_are_taken_and_the_protocols_are_left_alone() -> None:
    given = {"top_k": 3, "truncation": False, "binary_data_output": True, "priority": 1}
    assert Parameters.parse(given) == Parameters(top_k=3, truncation=False)


@pytest.mark.parametrize("top_k", [0, -1, 1.0, "2", True, [1]])
def test_top_k_must_be_a_whole_number_from_1_up(top_k: Any) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        Parameters.parse({"top_k": top_k})
    assert str(refused.value).endswith(f"whole number from 1 up, not {top_k!r}")


@pytest.mark.parametrize("truncation", [0, 1, "true", None])
def test_truncation_must_be_a_boolean(truncation: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"truncation must be true or false, not "):
        Parameters.parse({"truncation": truncation})

"""Request parameters: what is taken, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from predictor.errors import InvalidRequestError
from predictor.protocol.parameters import Parameters


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


def test_what_one_task_alone_understands_is_asked_for_by_name() -> None:
    given = Parameters.parse({"stride": 4, "fast": True, "kind": "b", "targets": ["x", "y"]})
    assert given.number("stride", least=0, most=4) == 4
    assert given.number("other", least=0) is None
    assert given.flag("fast", default=False) is True
    assert given.flag("other", default=True) is True
    assert given.choice("kind", ("a", "b")) == "b"
    assert given.choice("other", ("a", "b")) == "a"
    assert given.texts("targets") == ["x", "y"]
    assert given.texts("other") is None


@pytest.mark.parametrize(
    ("value", "listed"),
    [
        ("x", ["x"]),
        ('["x", "y"]', ["x", "y"]),
        ("[MASK]", ["[MASK]"]),
        (["x"], ["x"]),
        ("[" * 9999, ["[" * 9999]),
    ],
)
def test_strings_come_alone_as_a_list_or_as_a_list_in_json(value: Any, listed: list[str]) -> None:
    assert Parameters.parse({"targets": value}).texts("targets") == listed


@pytest.mark.parametrize("value", [[], "[]", 7, ["x", 7], "[7]", {"x": 1}])
def test_strings_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^parameter targets must hold strings, not "):
        Parameters.parse({"targets": value}).texts("targets")


@pytest.mark.parametrize("value", [-1, 5, 2.0, True, "3"])
def test_a_number_beyond_its_range_is_refused(value: Any) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"stride must be a whole number from 0 to 4, not"
    ):
        Parameters.parse({"stride": value}).number("stride", least=0, most=4)


@pytest.mark.parametrize("value", ["c", 1, None, ["a"]])
def test_a_choice_that_there_is_not_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"kind must be one of a, b, not"):
        Parameters.parse({"kind": value}).choice("kind", ("a", "b"))

"""Request parameters: accepted and refused values."""

from __future__ import annotations

from typing import Any

import pytest

from predictor.errors import InvalidRequestError
from predictor.protocol.parameters import Parameters


def test_defaults() -> None:
    assert Parameters.parse({}) == Parameters(top_k=None, truncation=True)


def test_the_protocols_own_parameters_are_ignored() -> None:
    given = {"top_k": 3, "truncation": False, "binary_data_output": True, "priority": 1}
    assert Parameters.parse(given) == Parameters(top_k=3, truncation=False)


def test_parameters_of_one_task_are_read_by_name() -> None:
    given = Parameters.parse({"stride": 4, "fast": True, "kind": "b", "targets": ["x", "y"]})
    assert given.number("stride", least=0, most=4) == 4
    assert given.number("other", least=0) is None
    assert given.flag("fast", default=False) is True
    assert given.flag("other", default=True) is True
    assert given.choice("kind", ("a", "b")) == "b"
    assert given.choice("other", ("a", "b")) == "a"
    assert given.texts("targets") == ["x", "y"]
    assert given.texts("other") is None


def test_null_stands_for_a_parameter_that_is_not_given() -> None:
    given = Parameters.parse(dict.fromkeys(("top_k", "truncation", "targets", "kind")))
    assert given == Parameters()
    assert given.choice("kind", ("a", "b")) == "a"
    assert given.texts("targets") is None


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
def test_strings_are_one_a_list_or_a_list_in_json(value: Any, listed: list[str]) -> None:
    assert Parameters.parse({"targets": value}).texts("targets") == listed


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("top_k", [0, -1, 1.0, "2", True, [1]], "top_k must be a whole number from 1 up, not "),
        ("truncation", [0, 1, "true"], "truncation must be true or false, not "),
        ("targets", [[], "[]", 7, ["x", 7], "[7]", {"x": 1}], "targets must hold strings, not "),
        ("stride", [-1, 5, 2.0, True, "3"], "stride must be a whole number from 0 to 4, not "),
        ("kind", ["c", 1, ["a"]], "kind must be one of a, b, not "),
    ],
)
def test_wrong_values_are_refused_with_what_was_expected(
    name: str, values: list[Any], message: str
) -> None:
    for value in values:
        with pytest.raises(InvalidRequestError) as refused:
            given = Parameters.parse({name: value})
            given.texts("targets")
            given.number("stride", least=0, most=4)
            given.choice("kind", ("a", "b"))
        assert str(refused.value) == f"parameter {message}{value!r}"

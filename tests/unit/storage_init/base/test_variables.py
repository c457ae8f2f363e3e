"""Environment variables: their defaults, the values they accept and the errors for all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage_init.base import variables
from storage_init.base.variables import (
    ALL,
    FLAG,
    FOLDER,
    KEY_FILE,
    NUMBER,
    SECONDS,
    SOME_SECONDS,
    TEXT,
    Kind,
    SettingError,
    Variable,
    at_least,
    one_of,
)


def test_all_has_each_variable_once() -> None:
    declared = [each for each in vars(variables).values() if isinstance(each, Variable)]
    assert list(ALL) == declared
    assert len({each.name for each in ALL}) == len(ALL)


@pytest.mark.parametrize("variable", ALL, ids=lambda variable: variable.name)
def test_an_unset_or_empty_variable_has_its_default_unless_it_is_a_key(
    variable: Variable[Any],
) -> None:
    assert variable.read({}) == variable.default
    if variable.kind is KEY_FILE:
        with pytest.raises(SettingError, match="=: name a PEM file, or do not set it"):
            variable.read({variable.name: ""})
    else:
        assert variable.read({variable.name: ""}) == variable.default


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        *((FLAG, text, True) for text in ("true", "1", "Yes")),
        *((FLAG, text, False) for text in ("0", "no")),
        (FOLDER, "/mnt/store", Path("/mnt/store")),
        (KEY_FILE, "key.pub", Path("key.pub")),
        (NUMBER, "-1e-3", -0.001),
        (SECONDS, "0", 0.0),
        (SOME_SECONDS, "0.5", 0.5),
        (TEXT, "a text", "a text"),
        (at_least(2), "2", 2),
        (one_of("a", "b"), "b", "b"),
    ],
)
def test_a_variable_accepts_values_of_its_kind(kind: Kind[Any], text: str, value: object) -> None:
    assert Variable("NAME", kind, None, "").read({"NAME": text}) == value


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        (FLAG, "maybe", "'maybe' is neither true nor false"),
        (NUMBER, "far", "'far' is not a number"),
        *((SECONDS, text, f"'{text}' is not a number of seconds") for text in ("inf", "-1", "nan")),
        (SOME_SECONDS, "0", "'0' is not a number of seconds above 0"),
        *(
            (at_least(0), text, f"'{text}' is not a whole number from 0 up")
            for text in ("²", "1e9")
        ),
        (at_least(2), "1", "'1' is not a whole number from 2 up"),
        (one_of("a", "b"), "c", "choose from a, b"),
    ],
)
def test_the_error_names_the_variable_and_the_reason(
    kind: Kind[Any], text: str, complaint: str
) -> None:
    with pytest.raises(SettingError) as refused:
        Variable("NAME", kind, None, "").read({"NAME": text})
    assert str(refused.value) == f"NAME={text}: {complaint}"

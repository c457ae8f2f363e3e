"""Variables: what they may be, and the sentence that names one that is not."""

from __future__ import annotations

from typing import Any

import pytest

from storage_init.base import variables
from storage_init.base.variables import ALL, MAX_MODEL_BYTES, RETRIES, SettingError, Variable


def test_all_are_listed_once() -> None:
    declared = [each for each in vars(variables).values() if isinstance(each, Variable)]
    assert list(ALL) == declared
    assert len({each.name for each in ALL}) == len(ALL)


@pytest.mark.parametrize("variable", ALL, ids=lambda variable: variable.name)
def test_unset_or_empty_it_has_its_default(variable: Variable[Any]) -> None:
    assert variable.read({}) == variable.default
    assert variable.read({variable.name: ""}) == variable.default


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        *((MAX_MODEL_BYTES, value, "from 1 up") for value in ("0", "-1", "1GB", "1e9", " ", "²")),
        (RETRIES, "many", "from 0 up"),
        (variables.ALLOW_HTTP, "maybe", "neither true nor false"),
        (variables.ALLOW_PICKLES, "on", "neither true nor false"),
    ],
)
def test_what_it_cannot_be_is_named(variable: Variable[Any], value: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence) as refused:
        variable.read({variable.name: value})
    assert str(refused.value).startswith(f"{variable.name}={value}: ")


@pytest.mark.parametrize("value", ["true", "1", "yes", "TRUE"])
def test_a_permission_is_given_in_several_words(value: str) -> None:
    assert variables.ALLOW_HTTP.read({"WARMSTART_ALLOW_HTTP": value}) is True

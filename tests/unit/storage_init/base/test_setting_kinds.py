"""What a setting's text may be, and what it is told where it is not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from storage_init.base.variables import (
    FLAG,
    FOLDER,
    KEY_FILE,
    NUMBER,
    SECONDS,
    SOME_SECONDS,
    TEXT,
    Kind,
    at_least,
    one_of,
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (FLAG, "Yes", True),
        (FLAG, "0", False),
        (FOLDER, "/mnt/store", Path("/mnt/store")),
        (KEY_FILE, "key.pub", Path("key.pub")),
        (NUMBER, "-1e-3", -0.001),
        (SECONDS, "0", 0.0),
        (SOME_SECONDS, "0.5", 0.5),
        (TEXT, "", ""),
        (at_least(2), "2", 2),
        (one_of("a", "b"), "b", "b"),
    ],
)
def test_what_is_taken(kind: Kind[Any], text: str, value: object) -> None:
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        (FLAG, "", "'' is neither true nor false"),
        (KEY_FILE, "", "name a PEM file, or do not set it"),
        (NUMBER, "far", "'far' is not a number"),
        (SECONDS, "inf", "'inf' is not a number of seconds"),
        (SECONDS, "-1", "'-1' is not a number of seconds"),
        (SOME_SECONDS, "0", "'0' is not a number of seconds above 0"),
        (at_least(2), "1", "'1' is not a whole number from 2 up"),
        (at_least(0), "²", "'²' is not a whole number from 0 up"),
        (one_of("a", "b"), "c", "choose from a, b"),
    ],
)
def test_what_is_refused_and_why(kind: Kind[Any], text: str, complaint: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        kind(text)
    assert str(refused.value) == complaint


def test_a_reference_says_what_is_taken() -> None:
    assert at_least(1).words == "whole number ≥ 1"
    assert one_of("a", "b").words == "`a`, `b`"

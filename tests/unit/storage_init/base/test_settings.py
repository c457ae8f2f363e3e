"""The storage initializer's variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_init.base.variables import SettingError, Settings


def test_nothing_set_is_the_documented_default() -> None:
    assert Settings.from_environment({}) == Settings(
        store=None, lease_seconds=15.0, falls_back=True, recheck_seconds=0.0, log_format="text"
    )


def test_every_variable_is_read() -> None:
    stated = {
        "WARMSTART_STORE": "/mnt/store",
        "WARMSTART_LEASE_SECONDS": "2.5",
        "WARMSTART_UNREACHABLE": "refuse",
        "WARMSTART_RECHECK_SECONDS": "30",
        "WARMSTART_LOG_FORMAT": "json",
    }
    assert Settings.from_environment(stated) == Settings(
        Path("/mnt/store"), 2.5, False, 30.0, "json"
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("WARMSTART_LEASE_SECONDS", "0", "'0' is not a number of seconds above 0"),
        ("WARMSTART_LEASE_SECONDS", "soon", "'soon' is not a number of seconds"),
        ("WARMSTART_LEASE_SECONDS", "nan", "'nan' is not a number of seconds"),
        ("WARMSTART_RECHECK_SECONDS", "-1", "'-1' is not a number of seconds"),
        ("WARMSTART_RECHECK_SECONDS", "nan", "'nan' is not a number of seconds"),
        ("WARMSTART_UNREACHABLE", "yes", "choose from fallback, refuse"),
        ("WARMSTART_LOG_FORMAT", "xml", "choose from text, json"),
    ],
)
def test_what_a_variable_cannot_be_is_named(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=f"^{name}={value}: {sentence}$"):
        Settings.from_environment({name: value})


def test_an_empty_variable_is_not_set() -> None:
    assert Settings.from_environment({"WARMSTART_RECHECK_SECONDS": ""}) == Settings()

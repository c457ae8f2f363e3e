"""Sizes, ages and tables as a person reads them."""

from __future__ import annotations

import pytest

from storage_init.base import sizes as text


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (335_100_000, "335.1 MB"),
        (999_940_000, "999.9 MB"),
        (999_960_000, "1.0 GB"),
        (2_500_000_000_000, "2.5 TB"),
    ],
)
def test_sizes(count: int, expected: str) -> None:
    assert text.size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (3 * 3600 + 5, "3 h"), (90 * 86400, "90 d")],
)
def test_ages(seconds: float, expected: str) -> None:
    assert text.age(seconds) == expected


@pytest.mark.parametrize(
    ("argument", "seconds"),
    [("0s", 0), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400), ("2w", 1209600)],
)
def test_ages_are_read(argument: str, seconds: float) -> None:
    assert text.parse_age(argument) == seconds


@pytest.mark.parametrize("argument", ["", "1", "d", "-1d", "1 d", "1y", "1d\n", "٣d"])
def test_what_is_no_age_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match="is not an age"):
        text.parse_age(argument)


def test_columns_are_aligned_and_lines_have_no_blanks_at_their_end() -> None:
    table = text.table(
        ("name", "size", "why"), [("a", "10 B", ""), ("longer", "1 B", "x")], right=["size"]
    )
    assert table.splitlines() == ["name    size  why", "a       10 B", "longer   1 B  x"]

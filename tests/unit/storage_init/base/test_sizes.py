"""Sizes, ages and tables for people."""

from __future__ import annotations

import pytest

from storage_init.base.sizes import age, parse_age, size, table


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        *((0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (335_100_000, "335.1 MB")),
        *((999_940_000, "999.9 MB"), (999_960_000, "1.0 GB"), (5 * 10**15, "5000.0 TB")),
    ],
)
def test_a_size_has_the_largest_unit_that_fits(count: int, expected: str) -> None:
    assert size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (3 * 3600 + 5, "3 h"), (90 * 86400, "90 d")],
)
def test_an_age_has_the_largest_unit_that_fits(seconds: float, expected: str) -> None:
    assert age(seconds) == expected


@pytest.mark.parametrize(
    ("argument", "seconds"),
    [("0s", 0), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400), ("2w", 1209600)],
)
def test_an_age_is_parsed(argument: str, seconds: float) -> None:
    assert parse_age(argument) == seconds


@pytest.mark.parametrize("argument", ["", "1", "d", "-1d", "1 d", "1y", "1d\n", "٣d"])
def test_a_malformed_age_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match="is not an age"):
        parse_age(argument)


def test_a_table_has_aligned_columns_and_no_trailing_blanks() -> None:
    rows = [("a", "10 B", ""), ("longer", "1 B", "x")]
    lines = table(("name", "size", "why"), rows, right=["size"]).splitlines()
    assert lines == ["name    size  why", "a       10 B", "longer   1 B  x"]

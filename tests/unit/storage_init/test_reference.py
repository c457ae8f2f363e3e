"""The tables that docs/generate writes into pages."""

from __future__ import annotations

import pytest

from docs.generate.tables import Row, filled, shown, table

PAGE = """before
<!-- made by make schema: one -->
old
<!-- end of what make schema: one makes -->
between
<!-- made by make schema: two -->
<!-- end of what make schema: two makes -->
after
"""


def test_filling_a_part_leaves_the_rest_of_the_page_alone() -> None:
    page = filled(filled(PAGE, "NEW", "one"), "MORE", "two")
    assert "old" not in page
    assert [line for line in page.splitlines() if line and "<!--" not in line] == [
        *("before", "NEW", "between", "MORE", "after")
    ]
    assert filled(page, "NEW", "one") == page


def test_a_page_without_the_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="substring not found"):
        filled(PAGE, "NEW", "three")


def test_a_table_has_a_row_for_each_setting() -> None:
    rows = [Row(["`--a`", "`A`"], "text", "none", "of use")]
    assert table(["flag", "variable"], rows) == (
        "| flag | variable | takes | default | meaning |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `--a` | `A` | text | none | of use |"
    )


@pytest.mark.parametrize(
    ("default", "text"), [(None, "none"), ("", "none"), (True, "`true`"), (0.5, "`0.5`")]
)
def test_a_default_is_formatted_for_people(default: object, text: str) -> None:
    assert shown(default) == text

"""Sizes, ages and tables, formatted for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def size(count: int) -> str:
    """Format bytes in decimal units: ``335.1 MB``."""
    if count < 1000:
        return f"{count} B"
    for unit, length in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < 999.95 * length:
            return f"{count / length:.1f} {unit}"
    return f"{count / 1e12:.1f} TB"


def age(seconds: float) -> str:
    """Format seconds in the largest unit that fits: ``3 h``; a time in the future is ``0 s``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def parse_age(text: str) -> float:
    """Parse ``90s``, ``30m``, ``12h``, ``1d`` or ``2w`` into seconds.

    Raises:
        ValueError: the text has a different form.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", text)
    if found is None:
        raise ValueError(
            f"{text!r} is not an age: write a number and one of s, m, h, d, w, such as 1d"
        )
    return float(found[1]) * SECONDS[found[2]]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str]) -> str:
    """Format rows as aligned columns below a header; columns in ``right`` align right."""
    lines = [header, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(line, widths, header, strict=True)
        ).rstrip()
        for line in lines
    )

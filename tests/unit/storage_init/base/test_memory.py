"""The container's memory limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init.base.memory import memory_limit

if TYPE_CHECKING:
    from pathlib import Path

V1 = "memory/memory.limit_in_bytes"


@pytest.mark.parametrize(
    ("name", "text", "limit"),
    [
        ("memory.max", "1073741824\n", 1 << 30),
        ("memory.max", "max\n", None),
        (V1, "1073741824\n", 1 << 30),
        (V1, "9223372036854771712\n", None),
        ("other", "", None),
    ],
)
def test_a_limit_of_cgroup_v1_or_v2_is_read(
    tmp_path: Path, name: str, text: str, limit: int | None
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert memory_limit(tmp_path) == limit

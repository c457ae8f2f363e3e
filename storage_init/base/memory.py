"""The memory that the container may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_init.base.cpus import CGROUP

if TYPE_CHECKING:
    from pathlib import Path

# Version 1 of cgroups says "no limit" with a number beyond any machine's memory.
LIMITLESS = 1 << 60


def memory_limit(cgroup: Path = CGROUP) -> int | None:
    """Return the container's memory limit in bytes, by cgroup v2 or v1; None if there is none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((cgroup / name).read_text())
        except (OSError, ValueError):  # another version, or "max"
            continue
        return limit if limit < LIMITLESS else None
    return None

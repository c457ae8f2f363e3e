"""Links that only the kernel can follow.

KServe gives a predictor its modelcar's files (``oci://``) through a link into another process's
root, ``/proc/N/root/models``. Read as a text, it names a folder that is not here, or another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def leads_by_name(path: Path) -> bool:
    """Whether reading a path's links as texts leads to what the path opens."""
    try:
        return path.resolve().samefile(path)
    except OSError:
        return False

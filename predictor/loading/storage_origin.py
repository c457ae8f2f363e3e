"""Where the files of a served model lie: what a start owes to the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from storage_init.format.package import PACKAGE_FILE

MOUNTS = Path("/proc/self/mountinfo")
Origin = Literal["store", "linked", "copied", "unprepared"]


def origin_of(folder: Path, *, prepared: bool) -> Origin:
    """How a model came to its folder, links resolved.

    ``store``: it is served where its store keeps it. ``linked``: its files are a store's, too, by
    hard links. ``copied``: they are its own. ``unprepared``: nobody prepared it.
    """
    if not prepared:
        return "unprepared"
    place = _place(folder)
    if place.parent.name == "versions" and place.parents[2].name == "models":
        return "store"
    return "linked" if (folder / PACKAGE_FILE).stat().st_nlink > 1 else "copied"


def _place(folder: Path) -> Path:
    """Where a folder that is a mount of its own lies in its volume, else the folder itself.

    ``pvc://`` with a path is such a mount: the pod sees /mnt/models. proc_pid_mountinfo(5).
    """
    if not MOUNTS.exists():  # other systems than Linux
        return folder
    mounts = (line.split() for line in MOUNTS.read_text().splitlines())
    places = [Path(fields[3]) for fields in mounts if fields[4] == str(folder)]
    # The last one lies over those before it.
    return places[-1] if places else folder

"""Tells where the files of a served model come from: a store, hard links to one, or copies."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from storage_init.format.package import PACKAGE_FILE

MOUNTS = Path("/proc/self/mountinfo")
Origin = Literal["store", "linked", "copied", "unprepared"]


def origin_of(folder: Path, *, prepared: bool) -> Origin:
    """The origin of a model in ``folder``, whose links are resolved.

    ``store``: the folder is in a store. ``linked``: the files are hard links to those of a store.
    ``copied``: the files are the folder's own. ``unprepared``: a plain ONNX export.
    """
    if not prepared:
        return "unprepared"
    path = _path_in_volume(folder)
    if path.parent.name == "versions" and path.parent.parent.parent.name == "models":
        return "store"
    return "linked" if (folder / PACKAGE_FILE).stat().st_nlink > 1 else "copied"


def _path_in_volume(folder: Path) -> Path:
    """The path of a mounted folder in its volume, else the folder itself.

    KServe mounts ``pvc://NAME/PATH`` at /mnt/models. Source: proc_pid_mountinfo(5).
    """
    if not MOUNTS.exists():  # other systems than Linux
        return folder
    mounts = (line.split() for line in MOUNTS.read_text().splitlines())
    paths = [Path(fields[3]) for fields in mounts if fields[4] == str(folder)]
    # The last mount hides those before it.
    return paths[-1] if paths else folder

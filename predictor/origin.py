"""Where the files of a served model lie: what a start owes to the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from storage_init.package import PACKAGE_FILE

if TYPE_CHECKING:
    from pathlib import Path

Origin = Literal["store", "linked", "copied", "unprepared"]


def origin_of(folder: Path, *, prepared: bool) -> Origin:
    """How a model came to its folder, links resolved.

    ``store``: it is served where its store keeps it. ``linked``: its files are a store's, too, by
    hard links. ``copied``: they are its own. ``unprepared``: nobody prepared it.
    """
    if not prepared:
        return "unprepared"
    if folder.parent.name == "versions" and folder.parents[2].name == "models":
        return "store"
    return "linked" if (folder / PACKAGE_FILE).stat().st_nlink > 1 else "copied"

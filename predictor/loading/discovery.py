"""Which models one server has: the one it is told, or every one of a folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from predictor.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from predictor.settings import Settings


def discover(settings: Settings) -> list[Settings]:
    """The settings of each model to serve.

    ``models_dir`` is a store, or a folder of model folders; each model has its folder's name.

    Raises:
        UnsupportedModelError: there is no model in it.
    """
    if settings.models_dir is None:
        return [settings]
    root = settings.models_dir
    # A store keeps them one level down.
    folders = root / "models" if (root / "models").is_dir() else root
    found = [
        replace(settings, model_name=name, model_dir=folder) for name, folder in _models(folders)
    ]
    if not found:
        raise UnsupportedModelError(f"{root} holds no models (--models_dir)")
    return found


def _models(folders: Path) -> Iterator[tuple[str, Path]]:
    try:
        entries = sorted(folders.iterdir())
    except OSError as error:
        raise UnsupportedModelError(
            f"{folders} cannot be read (--models_dir): {error.strerror}"
        ) from error
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            current = entry / "current"
            yield entry.name, current if current.is_symlink() else entry

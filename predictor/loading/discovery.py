"""Finds the models that a server serves: the one it is given, or every one of a folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from predictor.errors import UnsupportedModelError
from storage_init.format.package import SHELF

if TYPE_CHECKING:
    from predictor.settings import Settings


def discover(settings: Settings) -> list[Settings]:
    """The settings of each model to serve.

    ``models_dir`` is a store or a folder of model folders; each model is named after its folder.
    What pods fetched into a store by its URI is not served: nobody gave it a name.

    Raises:
        UnsupportedModelError: the folder cannot be read or holds no model.
    """
    root = settings.models_dir
    if root is None:
        return [settings]
    # A store keeps its models one level down.
    folders = root / "models" if (root / "models").is_dir() else root
    try:
        entries = sorted(folders.iterdir())
    except OSError as error:
        raise UnsupportedModelError(
            f"{folders} cannot be read (--models_dir): {error.strerror}"
        ) from error
    found = []
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith(".") and not SHELF.fullmatch(entry.name):
            current = entry / "current"
            folder = current if current.is_symlink() else entry
            found.append(replace(settings, model_name=entry.name, model_dir=folder))
    if not found:
        raise UnsupportedModelError(f"{root} holds no models (--models_dir)")
    return found

"""Waits for a model that is still on its way, such as one that a node's cache is downloading."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from storage_init.base.errors import WarmstartError
from storage_init.base.logs import event
from storage_init.format.reading import is_package, read_package
from storage_init.format.verify import check_files

if TYPE_CHECKING:
    from pathlib import Path

    from predictor.settings import Settings

POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


def wait_for_model(settings: Settings) -> None:
    """Wait until the model's folder holds a whole model, at most ``model_wait_seconds``.

    The load refuses whatever is missing after that.
    """
    folder, limit = settings.folder, settings.model_wait_seconds
    if not limit or holds_model(folder):
        return
    about = {"model": settings.model_name, "folder": str(folder)}
    event(log, "waiting for the model", **about, at_most_seconds=limit)
    start = time.monotonic()
    while not holds_model(folder) and time.monotonic() - start < limit:
        time.sleep(POLL_SECONDS)
    event(log, "waited for the model", **about, seconds=round(time.monotonic() - start, 1))


def holds_model(folder: Path) -> bool:
    """Return whether a folder holds a prepared model with all its files, or a plain ONNX export.

    A plain export has no list of its files, so one that is still being copied counts as well.
    """
    try:
        if is_package(folder):
            package, _ = read_package(folder)
            return not check_files(folder, package.files, hashes=False)
        from predictor.loading.plain_folder import read_plain_folder

        read_plain_folder(folder)
    except WarmstartError:
        return False
    return True

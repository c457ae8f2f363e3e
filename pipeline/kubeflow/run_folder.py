"""The folder of one run on Kubeflow: no step trusts what it finds in there.

KFP gives every run an id, which names the folder in the store's ``.staging``. The first step writes
down what the run is for; each later step checks that before it works, because a folder that two
runs share would publish one model under the name of the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from storage_init.base.errors import WarmstartError
from storage_init.store.layout import STAGING

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.workspace.workspace import Workspace

IDENTITY_FILE = "run.json"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


class RunFolderError(WarmstartError):
    """The folder is not this run's; nothing was read from it or published."""


class RunIdentity(msgspec.Struct, frozen=True):
    """What a run prepares: KFP's id, the source as given, the name, the recipe's digest."""

    run: str
    source: str
    name: str
    recipe: str


def folder_of(store: Path, run: str) -> Path:
    """Return the folder of a run in a store.

    Raises:
        RunFolderError: ``run`` is no id, such as a placeholder that KFP did not fill in.
    """
    if not RUN_ID.fullmatch(run):
        raise RunFolderError(f"{run!r} is not the id of a run: compile the pipeline again")
    return store / STAGING / f"kubeflow-{run}"


def claim(folder: Path, identity: RunIdentity) -> None:
    """Make a run's folder its own; a second try of the same step finds it so.

    Raises:
        RunFolderError: it is another run's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (folder / IDENTITY_FILE).open("xb") as file:
            file.write(msgspec.json.encode(identity))
    except FileExistsError:
        check(folder, identity)


def check(folder: Path, identity: RunIdentity) -> None:
    """Check that a folder was made by the first step of this run.

    Raises:
        RunFolderError: it was not, or it is gone.
    """
    try:
        found = msgspec.json.decode((folder / IDENTITY_FILE).read_bytes(), type=RunIdentity)
    except (OSError, msgspec.MsgspecError) as error:
        raise RunFolderError(f"{folder} is not a folder of this run: {error}") from error
    for field in RunIdentity.__struct_fields__:
        theirs, ours = getattr(found, field), getattr(identity, field)
        if theirs != ours:
            raise RunFolderError(f"{folder} is another run's: its {field} is {theirs}, not {ours}")


def check_revision(work: Workspace, revision: str) -> None:
    """Check that the fetched files are those of the revision that the run pinned.

    Raises:
        RunFolderError: they are of another one.
    """
    if (found := work.read_source().revision) != revision:
        raise RunFolderError(f"{work.root} holds revision {found}, not {revision}")

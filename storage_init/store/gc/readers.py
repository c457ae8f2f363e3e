"""Whether anyone on this machine reads a version.

What other machines do on a shared volume cannot be seen from here: there it is ``--keep`` and
``--min-age`` that protect a reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.format.verify import list_files
from storage_init.store.gc import openers, processes

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Readers:
    """What this machine can tell of readers on the file system of a store.

    ``leases``: the kernel can be asked file by file, so hidden processes need no guessing.
    """

    device: int
    leases: bool

    def of(self, path: Path) -> str | None:
        """Who reads a file, or anything in a folder, in words; None if certainly nobody does.

        It looks at all processes anew: seconds on a machine with very many.
        """
        snapshot = processes.snapshot(self.device)
        unsure = False
        for file in _files(path):
            try:
                process = snapshot.holder(file.lstat())
            except OSError:
                continue
            if process is not None:
                return f"{_name(file, path)} is held open by {process}"
            told = openers.is_open(file) if self.leases else None
            if told:
                return (
                    f"{_name(file, path)} is held open by a process that cannot be seen from here"
                )
            unsure = unsure or told is None
        return _doubt(snapshot.unseen) if unsure and snapshot.unseen else None


def readers_of(root: Path, scratch: Path | None) -> Readers:
    """For a store at ``root``; ``scratch`` is a folder in it to try things out, if there is one."""
    return Readers(root.stat().st_dev, scratch is not None and openers.can_tell(scratch))


def _files(path: Path) -> list[Path]:
    """The regular files: of a link only the target could be open, and that is not removed."""
    below = [path / file for file in sorted(list_files(path))] if path.is_dir() else [path]
    return [] if path.is_symlink() else [file for file in below if not file.is_symlink()]


def _name(file: Path, path: Path) -> str:
    return file.relative_to(path).as_posix() if file != path else file.name


def _doubt(unseen: list[processes.Process]) -> str:
    more = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
    return f"{unseen[0]}{more} may hold it open and cannot be looked into by this user"

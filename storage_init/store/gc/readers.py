"""Find out whether any process on this machine reads a version.

``/proc`` names the processes that this user may look into. For the others, such as those of other
pods, ``openers`` asks the kernel. Readers on other machines of a shared volume cannot be seen;
``--keep`` and ``--min-age`` protect them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.files import list_files
from storage_init.store.gc import processes
from storage_init.store.gc.openers import can_tell, opened

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Readers:
    """Looks for readers of a store on this machine.

    ``device`` is the store's ``st_dev``; ``leases`` says whether the kernel can be asked
    file by file.
    """

    device: int
    leases: bool

    def of(self, path: Path) -> str | None:
        """Say who may read a file, or any file in a folder; None if certainly nobody does.

        It scans all processes, which takes seconds on a machine with very many.
        """
        snapshot = processes.snapshot(self.device)
        files = _files(path)
        answers = opened(files) if self.leases and files else [None] * len(files)
        unsure = False
        for file, told in zip(files, answers, strict=True):
            try:
                process = snapshot.holder(file.lstat())
            except OSError:
                continue
            if process is not None:
                return f"{_name(file, path)} is held open by {process}"
            if told:
                return (
                    f"{_name(file, path)} is held open by a process that cannot be seen from here"
                )
            unsure = unsure or told is None
        return _doubt(snapshot.unseen) if unsure and snapshot.unseen else None


def readers_of(root: Path, scratch: Path | None) -> Readers:
    """Return the readers of a store at ``root``; ``scratch`` is a folder in it for a trial file."""
    return Readers(root.stat().st_dev, scratch is not None and can_tell(scratch))


def _files(path: Path) -> list[Path]:
    """List the regular files; a link has no content of its own that a reader could hold open."""
    below = [path / file for file in sorted(list_files(path))] if path.is_dir() else [path]
    return [] if path.is_symlink() else [file for file in below if not file.is_symlink()]


def _name(file: Path, path: Path) -> str:
    return file.relative_to(path).as_posix() if file != path else file.name


def _doubt(unseen: list[processes.Process]) -> str:
    more = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
    return f"{unseen[0]}{more} may hold it open and cannot be looked into by this user"

"""Names from elsewhere: each is checked here before it becomes a path on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from storage_init.base.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Folders in which this program keeps what is not a model.
WORK = ".fetch"
RESERVED = frozenset([WORK, ".incoming", ".staging"])
MAX_SEGMENT_BYTES = 255
MAX_PATH_BYTES = 1024


def shown(uri: str) -> str:
    """A URI as it may be logged and recorded: without a password and without a signature."""
    if not uri.startswith(("http://", "https://")):
        return uri
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def check_names(paths: Iterable[str], where: str) -> None:
    """Refuse a listing with a name that could leave its folder, hide or overwrite something.

    Raises:
        SourceError: names the first such path and what is wrong with it.
    """
    seen = set()
    for path in paths:
        problem = "is listed twice" if path in seen else name_problem(path)
        if problem:
            raise SourceError(f"{where} is refused: its file {path!r} {problem}")
        seen.add(path)


def name_problem(path: str) -> str | None:  # noqa: PLR0911 - a list of rules
    """What is wrong with a relative path in a listing, None if it is safe."""
    segments = path.split("/")
    if not path:
        return "has no name"
    if path.startswith("/"):
        return "has an absolute path"
    if "\\" in path or not path.isprintable():
        return "has a backslash or a character that cannot be printed in its name"
    if any(segment in ("", ".", "..") for segment in segments):
        return "has an empty, '.' or '..' folder in its path"
    if segments[0] in RESERVED:
        return "has the name of a folder that warmstart keeps for itself"
    longest = max(len(segment.encode()) for segment in segments)
    if longest > MAX_SEGMENT_BYTES or len(path.encode()) > MAX_PATH_BYTES:
        return "has too long a name"
    return None


def check_no_clash(paths: Iterable[str], where: str) -> None:
    """Refuse paths of which one is a folder of another: no file system can hold both.

    Raises:
        SourceError: names such a path.
    """
    every = set(paths)
    for path in sorted(every):
        parts = path.split("/")
        folders = ("/".join(parts[:count]) for count in range(1, len(parts)))
        if clash := next((folder for folder in folders if folder in every), None):
            raise SourceError(f"{where} is refused: {clash!r} is both a file and a folder in it")

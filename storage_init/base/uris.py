"""Checks of file names from a source before they become paths, and URIs without credentials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from storage_init.base.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Folders of this program's own files, inside folders of models.
WORK = ".fetch"
RESERVED = frozenset([WORK, ".incoming", ".staging"])
MAX_SEGMENT_BYTES = 255
MAX_PATH_BYTES = 1024
DIGEST = re.compile(r"sha\d+=[0-9a-f]*")


def shown(uri: str) -> str:
    """Return a URI that is safe to log: without user and password, signed query and tokens."""
    scheme, separator, rest = uri.partition("://") if "://" in uri else ("", "", uri)
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    is_web = scheme.lower() in ("http", "https")
    # A password may have a slash in it: what follows the colon is then no port.
    if "@" in host and (scheme != "warm" or ":" in host):
        rest = host.rpartition("@")[2] + rest[len(host) :]
    elif "@" in rest and re.fullmatch(r"[^\[\]]*:\d*[^\d].*", host):
        rest = rest.rpartition("@")[2]
    if is_web:
        address, mark, fragment = rest.partition("#")
        kept = mark + fragment if DIGEST.fullmatch(fragment) else ""
        rest = address.partition("?")[0] + kept
    return f"{scheme}{separator}{rest}"


def check_names(paths: Iterable[str], where: str) -> None:
    """Refuse a listing with a name that could leave its folder or hide or overwrite a file.

    Raises:
        SourceError: names the first such path and its problem.
    """
    seen = set()
    for path in paths:
        problem = "is listed twice" if path in seen else name_problem(path)
        if problem:
            raise SourceError(f"{where} is refused: its file {path!r} {problem}")
        seen.add(path)


def name_problem(path: str) -> str | None:  # noqa: PLR0911 - a list of rules
    """Return the problem with a relative path in a listing, or None if the path is safe."""
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
    """Refuse a listing in which a path is both a file and a folder of another file.

    Raises:
        SourceError: names the first such path.
    """
    every = set(paths)
    for path in sorted(every):
        parts = path.split("/")
        folders = ("/".join(parts[:count]) for count in range(1, len(parts)))
        if clash := next((folder for folder in folders if folder in every), None):
            raise SourceError(f"{where} is refused: {clash!r} is both a file and a folder in it")

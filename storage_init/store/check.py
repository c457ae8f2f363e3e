"""Check a version in a store and name every problem.

The folder's name is the digest of its ``package.json``. So the check can tell a damaged digest file
from a damaged description, and can use a description that it finds under another file's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.errors import PackageError
from storage_init.base.files import list_files
from storage_init.format import codec
from storage_init.format.package import MAX_PACKAGE_BYTES, PACKAGE_FILE
from storage_init.format.reading import check_sums
from storage_init.format.verify import check_files, extra_files
from storage_init.store.layout import holds

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.package import Package


@dataclass(frozen=True)
class Finding:
    """A version's package, or None if its description is damaged, and all problems in words.

    ``foreign``: the description is intact, but needs a later build.
    """

    package: Package | None
    problems: list[str]
    foreign: bool = False


def check(folder: Path, model: str, version: str, *, hashes: bool) -> Finding:
    """Return the problems of all files; without ``hashes``, compare only their sizes."""
    content, problems = _description(folder, version)
    if content is None:
        return Finding(None, problems)
    try:
        package = codec.decode(content)
    except PackageError as error:
        return Finding(None, [*problems, str(error)], foreign=codec.is_foreign(content))
    if not holds(model, package.name):
        problems.append(f"{PACKAGE_FILE} describes model {package.name}, not {model}")
    problems += check_sums(folder, package, content)
    problems += check_files(folder, package.files, hashes=hashes) + extra_files(folder, package)
    return Finding(package, problems)


def _description(folder: Path, version: str) -> tuple[bytes | None, list[str]]:
    """Return the bytes of the ``package.json`` that names the version, and the problems with it."""
    problems = []
    content, problem = _read(folder / PACKAGE_FILE)
    if content is None or codec.version_of(content) != version:
        problems.append(problem or f"{PACKAGE_FILE} does not have the digest {version}…")
        content = _displaced(folder, version)
    if content is None:
        return None, [f"{problem}; the other files cannot be checked" for problem in problems]
    return content, problems


def _displaced(folder: Path, version: str) -> bytes | None:
    """Return the description if another file has it, as after two files were swapped."""
    for path in sorted(list_files(folder)):
        content, _ = _read(folder / path)
        if content is not None and codec.version_of(content) == version:
            return content
    return None


def _read(path: Path) -> tuple[bytes | None, str]:
    """Return a file's content, or None and the reason; refuse a file larger than a description."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PACKAGE_BYTES + 1)
    except FileNotFoundError:
        return None, f"{path.name} is missing"
    except OSError as error:
        return None, f"{path.name} cannot be read: {error.strerror}"
    if len(content) > MAX_PACKAGE_BYTES:
        return None, f"{path.name} is larger than {MAX_PACKAGE_BYTES} bytes"
    return content, ""

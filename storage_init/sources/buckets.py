"""Object stores: a prefix is a folder, and the digest of its listing is its revision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from storage_init.base.errors import SourceError
from storage_init.base.space import check_count
from storage_init.base.uris import shown
from storage_init.format.package import Source
from storage_init.sources.transfer import ranges
from storage_init.sources.transfer.failures import status_of
from storage_init.sources.transfer.remote import Remote, RemoteFile, listing_digest

if TYPE_CHECKING:
    from pathlib import Path

URI = re.compile(r"(?:s3|gs)://(?P<bucket>[A-Za-z0-9][\w.-]+)(?:/(?P<key>.*))?", re.DOTALL)

# List the objects whose keys start with a prefix, sorted by key; the path of a file is its key.
ListObjects = Callable[[str, str], Iterable[RemoteFile]]


def parse(uri: str) -> tuple[str, str]:
    """Return a URI's bucket, and its key or prefix without a slash at the end.

    Raises:
        SourceError: the URI has another form.
    """
    match = URI.fullmatch(uri)
    if match is None:
        raise SourceError(
            f"{shown(uri)} is not of the form {uri.partition(':')[0]}://bucket/prefix"
        )
    return match["bucket"], (match["key"] or "").rstrip("/")


def resolve(uri: str, list_objects: ListObjects) -> Source:
    """Pin a prefix to the digest of its listing."""
    return Source(uri=uri, revision=listing_digest(_files(uri, list_objects)))


def connect(source: Source, list_objects: ListObjects, read: ranges.Read, replaced: int) -> Remote:
    """Open a prefix at its revision; check the revision now and when all files have arrived.

    ``replaced``: the status that ``read`` fails with if somebody replaced the object.

    Raises:
        SourceError: the prefix changed since it was resolved.
    """

    def files() -> list[RemoteFile]:
        found = _files(source.uri, list_objects)
        if listing_digest(found) != source.revision:
            raise SourceError(f"{shown(source.uri)} has changed since it was resolved: start again")
        return found

    def check(_: Path) -> None:
        files()

    def read_pinned(file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        try:
            yield from read(file, start, end)
        except Exception as error:
            if status_of(error) == replaced:
                raise SourceError(
                    f"{shown(source.uri)}: {file.path} was replaced: start again"
                ) from error
            raise

    return Remote(files(), partial(ranges.download, read=read_pinned), check)


def _files(uri: str, list_objects: ListObjects) -> list[RemoteFile]:
    """List the files below a prefix, or the one object with that key.

    Raises:
        SourceError: there are no files, or too many.
    """
    bucket, key = parse(uri)
    # The slash keeps `abc/` out of a listing of `ab`.
    prefix = f"{key}/" if key else ""
    found = []
    for each in list_objects(bucket, prefix):
        if each.path.endswith("/") and not each.size:  # an empty object that marks a folder
            continue
        found.append(replace(each, path=each.path.removeprefix(prefix), name=each.path))
        check_count(len(found), shown(uri))
    if not found and key:
        first = next(iter(list_objects(bucket, key)), None)
        if first and first.path == key:
            found = [replace(first, path=key.rpartition("/")[2], name=key)]
    if not found:
        raise SourceError(f"{shown(uri)}: there is nothing of that name in the bucket")
    return found

"""What object stores have in common: a prefix is a folder, its listing is its revision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from storage_init.base.errors import SourceError
from storage_init.base.space import check_count
from storage_init.format.package import Source
from storage_init.sources.transfer import ranges
from storage_init.sources.transfer.remote import Remote, RemoteFile, listing_digest

if TYPE_CHECKING:
    from pathlib import Path

URI = re.compile(r"(?:s3|gs)://(?P<bucket>[A-Za-z0-9][\w.-]+)(?:/(?P<key>.*))?", re.DOTALL)

# The objects of a bucket whose keys begin with a prefix, in the order of their keys; ``path`` and
# ``name`` of each are its key.
ListObjects = Callable[[str, str], Iterable[RemoteFile]]


def parse(uri: str) -> tuple[str, str]:
    """The bucket and the key or prefix of a URI, without a slash at its end.

    Raises:
        SourceError: another form.
    """
    match = URI.fullmatch(uri)
    if match is None:
        raise SourceError(f"{uri} is not of the form {uri.partition(':')[0]}://bucket/prefix")
    return match["bucket"], (match["key"] or "").rstrip("/")


def resolve(uri: str, list_objects: ListObjects) -> Source:
    """Pin a prefix to the digest of its listing."""
    return Source(uri=uri, revision=listing_digest(_files(uri, list_objects)))


def connect(source: Source, list_objects: ListObjects, read: ranges.Read) -> Remote:
    """A prefix at its revision, which is checked now and once more when all has arrived.

    Raises:
        SourceError: it has changed since it was resolved.
    """

    def files() -> list[RemoteFile]:
        found = _files(source.uri, list_objects)
        if listing_digest(found) != source.revision:
            raise SourceError(f"{source.uri} has changed since it was resolved: start again")
        return found

    def check(_: Path) -> None:
        files()

    return Remote(files(), lambda chosen, folder: ranges.download(chosen, folder, read), check)


def _files(uri: str, list_objects: ListObjects) -> list[RemoteFile]:
    """The files below a prefix, else the one object of that key.

    Raises:
        SourceError: there is none, or there are too many.
    """
    bucket, key = parse(uri)
    # With the slash: `ab` is not to bring what lies below `abc/`.
    prefix = f"{key}/" if key else ""
    found = []
    for each in list_objects(bucket, prefix):
        if each.name.endswith("/") and not each.size:  # a marker that a folder is there
            continue
        found.append(_placed(each, each.name.removeprefix(prefix)))
        check_count(len(found), uri)
    if not found and key:
        first = next(iter(list_objects(bucket, key)), None)
        found = [_placed(each, key.rpartition("/")[2]) for each in (first,) if each]
        found = [each for each in found if each.name == key]
    if not found:
        raise SourceError(f"{uri}: there is nothing of that name in the bucket")
    return found


def _placed(each: RemoteFile, path: str) -> RemoteFile:
    return RemoteFile(path, each.size, each.tag, each.digest, name=each.name)

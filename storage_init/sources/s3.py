"""``s3://bucket/prefix``: an S3 bucket, with kserve-storage's settings and boto3's connections.

``Storage.download`` of kserve-storage does not do: it starts over after a broken connection, misses
objects that somebody replaces, follows ``..`` in keys, takes ``abc/`` for a part of ``ab``, skips
empty objects and turns every failure into text, so that nobody can tell a refusal from a broken
connection.
"""

from __future__ import annotations

from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from storage_init.base.hashing import CHUNK_BYTES
from storage_init.sources import buckets, kserve, s3_listing
from storage_init.sources.transfer.ranges import CONNECTIONS
from storage_init.sources.transfer.remote import Remote, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage_init.format.package import Source


def resolve(uri: str) -> Source:
    buckets.parse(uri)
    if settings := s3_listing.PlainSettings.from_environment():
        with suppress(s3_listing.ElsewhereError):
            return buckets.resolve(uri, partial(s3_listing.list_objects, settings))
    return buckets.resolve(uri, partial(_list_objects, _client()))


def connect(source: Source) -> Remote:
    bucket, _ = buckets.parse(source.uri)
    client = _client()

    def read(file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        answer = client.get_object(
            Bucket=bucket, Key=file.name, Range=f"bytes={start}-{end - 1}", IfMatch=file.tag
        )
        with closing(answer["Body"]) as body:
            yield from body.iter_chunks(CHUNK_BYTES)

    return buckets.connect(source, partial(_list_objects, client), read, replaced=412)


def _client() -> Any:
    kserve.apply_settings()
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    arguments = kserve.s3_arguments()
    pool = Config(max_pool_connections=CONNECTIONS)
    arguments["config"] = arguments["config"].merge(pool)
    return boto3.session.Session().client("s3", **arguments)


def _list_objects(client: Any, bucket: str, prefix: str) -> Iterator[RemoteFile]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", []):
            yield RemoteFile(each["Key"], each["Size"], each["ETag"])

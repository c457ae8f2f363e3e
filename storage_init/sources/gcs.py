"""``gs://bucket/prefix``: a Google Cloud Storage bucket, through google-cloud-storage.

``s3`` says why ``Storage.download`` does not do.
"""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Any

from storage_init.sources import buckets, kserve
from storage_init.sources.transfer.remote import Remote, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage_init.format.package import Source


def resolve(uri: str) -> Source:
    buckets.parse(uri)
    return buckets.resolve(uri, partial(_list_objects, _client()))


def connect(source: Source) -> Remote:
    bucket, _ = buckets.parse(source.uri)
    client = _client()

    def read(file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        # The generation pins the content: a replaced object's old generation does not exist.
        blob = client.bucket(bucket).blob(file.name, generation=int(file.tag))
        yield blob.download_as_bytes(
            start=start, end=end - 1, raw_download=True, checksum=None, retry=None
        )

    return buckets.connect(source, partial(_list_objects, client), read, replaced=404)


def _client() -> Any:
    kserve.apply_settings()
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import storage  # type: ignore[import-untyped]

    try:
        return storage.Client()
    except DefaultCredentialsError:  # a public bucket needs none
        return storage.Client.create_anonymous_client()


def _list_objects(client: Any, bucket: str, prefix: str) -> Iterator[RemoteFile]:
    for blob in client.list_blobs(bucket, prefix=prefix, retry=None):
        md5 = f"md5:{base64.b64decode(blob.md5_hash).hex()}" if blob.md5_hash else ""
        yield RemoteFile(blob.name, blob.size, str(blob.generation), md5)

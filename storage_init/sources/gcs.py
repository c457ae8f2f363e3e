"""``gs://bucket/prefix``: a Google Cloud Storage bucket, through google-cloud-storage.

Not through ``Storage.download``, for the reasons given in ``s3``.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from storage_init.base.errors import SourceError
from storage_init.sources import buckets, kserve
from storage_init.sources.transfer.failures import status_of
from storage_init.sources.transfer.remote import Remote, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage_init.format.package import Source


def resolve(uri: str) -> Source:
    buckets.parse(uri)
    return buckets.resolve(uri, _lister(_client()))


def connect(source: Source) -> Remote:
    bucket, _ = buckets.parse(source.uri)
    client = _client()

    def read(file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        # The generation pins the content: an object that is replaced is no longer there.
        blob = client.bucket(bucket).blob(file.name, generation=int(file.tag))
        try:
            yield blob.download_as_bytes(
                start=start, end=end - 1, raw_download=True, checksum=None, retry=None
            )
        except Exception as error:
            if status_of(error) == 404:
                raise SourceError(f"{source.uri}: {file.path} was replaced: start again") from error
            raise

    return buckets.connect(source, _lister(client), read)


def _client() -> Any:
    kserve.apply_settings()
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import storage  # type: ignore[import-untyped]

    try:
        return storage.Client()
    except DefaultCredentialsError:  # a public bucket needs none
        return storage.Client.create_anonymous_client()


def _lister(client: Any) -> buckets.ListObjects:
    def list_objects(bucket: str, prefix: str) -> Iterator[RemoteFile]:
        for blob in client.list_blobs(bucket, prefix=prefix, retry=None):
            md5 = f"md5:{base64.b64decode(blob.md5_hash).hex()}" if blob.md5_hash else ""
            yield RemoteFile(blob.name, blob.size, str(blob.generation), md5, name=blob.name)

    return list_objects

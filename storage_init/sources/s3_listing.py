"""Listing a bucket without boto3: for a hit its import and models take longer than all the rest.

This knows the plain settings of an endpoint with keys (MinIO, Ceph, SeaweedFS and the like), and
one request. Whatever else is set, or answered, is left to the full client.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from http.client import BadStatusLine, HTTPConnection, HTTPSConnection, RemoteDisconnected
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass
from xml.etree import ElementTree

import msgspec

from storage_init.sources.sigv4 import Keys, sign
from storage_init.sources.transfer.remote import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# kserve-storage's names for what STORAGE_CONFIG holds.
SPEC = {
    "endpoint_url": "AWS_ENDPOINT_URL",
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "region": "AWS_DEFAULT_REGION",
    "ca_bundle": "AWS_CA_BUNDLE",
    "verify_ssl": "S3_VERIFY_SSL",
    "anonymous": "awsAnonymousCredential",
}
READ = frozenset(
    [
        *(*SPEC.values(), "AWS_SESSION_TOKEN"),
        *("S3_CONNECT_TIMEOUT", "S3_READ_TIMEOUT"),
    ]
)
# Of no meaning for one request to an endpoint that is named.
IGNORED = frozenset(
    [
        *("S3_ENDPOINT", "S3_USE_HTTPS", "S3_MAX_ATTEMPTS", "S3_MAX_FILE_CONCURRENCY"),
        *("AWS_EC2_METADATA_DISABLED",),
    ]
)
DEFAULT_REGION = "us-east-1"
# Another region's or endpoint's bucket: the full client finds it by itself.
ELSEWHERE = frozenset([301, 302, 307, 308, 400])


class ElsewhereError(Exception):
    """The server sends the client to another place, or wants another kind of request."""


@dataclass(frozen=True)
class PlainSettings:
    """An endpoint that takes path-style requests; ``keys`` are None where anybody may read.

    ``timeouts`` are seconds to connect and to read. ``certificates``: a file of those to trust,
    None for certifi's.
    """

    endpoint: str
    region: str
    keys: Keys | None
    timeouts: tuple[float, float]
    certificates: str | None = None

    @property
    def host(self) -> str:
        """The endpoint's host, with its port if that is not the scheme's own."""
        parts = urlsplit(self.endpoint)
        own = {"http": 80, "https": 443}[parts.scheme]
        return parts.hostname or "" if parts.port in (None, own) else parts.netloc

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> PlainSettings | None:
        """The settings, None where any is set that is not known here."""
        found = _variables(environ)
        if found is None or _is_special(found):
            return None
        anonymous = found.get("awsAnonymousCredential", "").lower() == "true"
        key, secret = found.get("AWS_ACCESS_KEY_ID"), found.get("AWS_SECRET_ACCESS_KEY")
        if not anonymous and not (key and secret):
            return None
        try:
            timeouts = (
                float(found.get("S3_CONNECT_TIMEOUT", "15")),
                float(found.get("S3_READ_TIMEOUT", "30")),
            )
        except ValueError:
            return None
        return cls(
            endpoint=found["AWS_ENDPOINT_URL"].rstrip("/"),
            region=found.get("AWS_DEFAULT_REGION", DEFAULT_REGION),
            keys=None
            if anonymous
            else Keys(key or "", secret or "", found.get("AWS_SESSION_TOKEN")),
            timeouts=timeouts,
            certificates=found.get("AWS_CA_BUNDLE") or found.get("REQUESTS_CA_BUNDLE"),
        )


def list_objects(settings: PlainSettings, bucket: str, prefix: str) -> Iterator[RemoteFile]:
    """The objects whose keys begin with a prefix, as ``buckets.ListObjects`` has them.

    Raises:
        ElsewhereError: ask the full client.
        Exception: what ``failures`` knows how to tell apart.
    """
    query = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
    with _connection(settings) as connection:
        while True:
            page = _page(connection, settings, f"/{quote(bucket)}", query)
            encoded = _text(page, "EncodingType") == "url"
            for each in page.iterfind("{*}Contents"):
                key = _text(each, "Key")
                name = unquote(key) if encoded else key
                yield RemoteFile(name, int(_text(each, "Size")), _text(each, "ETag"), name=name)
            if _text(page, "IsTruncated") != "true":
                return
            query["continuation-token"] = _text(page, "NextContinuationToken")


@contextmanager
def _connection(settings: PlainSettings) -> Iterator[HTTPConnection]:
    """An open connection to the endpoint; whatever the network answers is a ConnectionError."""
    parts = urlsplit(settings.endpoint)
    connect, read = settings.timeouts
    connection = HTTPConnection(parts.netloc, timeout=connect)
    if parts.scheme == "https":
        import ssl

        import certifi

        trusted = ssl.create_default_context(cafile=settings.certificates or certifi.where())
        connection = HTTPSConnection(parts.netloc, timeout=connect, context=trusted)
    with closing(connection):
        try:
            connection.connect()
            connection.sock.settimeout(read)
            yield connection
        except socket.gaierror as error:
            raise ConnectionError(f"{parts.hostname}: {error.strerror}") from error
        except OSError as error:
            if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
                raise ConnectionError(f"{parts.hostname}: {error.strerror}") from error
            raise


def _page(
    connection: HTTPConnection, settings: PlainSettings, path: str, query: Mapping[str, str]
) -> ElementTree.Element:
    asked = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    headers = {"host": settings.host}
    if settings.keys:
        url = (settings.host, path, asked)
        headers = sign(settings.keys, settings.region, url, datetime.now(timezone.utc))
    try:
        connection.request("GET", f"{path}?{asked}", headers=headers)
        answer = connection.getresponse()
        content = answer.read()
    except (BadStatusLine, ValueError) as error:
        if isinstance(error, RemoteDisconnected):
            raise
        raise ElsewhereError(f"{settings.endpoint} does not speak HTTP") from error
    if answer.status in ELSEWHERE:
        raise ElsewhereError(f"{settings.endpoint} answers {answer.status}")
    if answer.status != 200:
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        metadata = {"ResponseMetadata": {"HTTPStatusCode": answer.status}}
        raise ClientError(metadata, "ListObjectsV2")
    try:
        # As botocore does it: expat itself limits what entities expand to.
        return ElementTree.fromstring(content)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ElsewhereError(f"{settings.endpoint} answers with no listing") from error


def _variables(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Every setting by its variable, STORAGE_CONFIG's too; None if that has more than plain ones.

    What is empty counts as not set.
    """
    try:
        spec = {
            key: value
            for name in ("STORAGE_CONFIG", "STORAGE_OVERRIDE_CONFIG")
            for key, value in msgspec.json.decode(
                environ.get(name) or "{}", type=dict[str, str]
            ).items()
        }
    except msgspec.MsgspecError:
        return None
    if spec and (spec.pop("type", "") != "s3" or not spec.keys() <= {*SPEC, "bucket"}):
        return None
    stated = {SPEC[key]: value for key, value in spec.items() if key in SPEC}
    return {name: value for name, value in {**environ, **stated}.items() if value}


def _is_special(found: Mapping[str, str]) -> bool:
    """Whether anything asks for more than a signed request to a named endpoint."""
    endpoint = found.get("AWS_ENDPOINT_URL", "")
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    return (
        parts.scheme not in ("http", "https")
        or not re.fullmatch(r"[\w.-]+", host)
        or bool(parts.path.strip("/") or parts.query or parts.fragment or parts.username)
        # AWS's own: a bucket is a host there, and regions redirect.
        or "amazonaws" in host
        or found.get("S3_VERIFY_SSL", "true").lower() in ("0", "false")
        or "CA_BUNDLE_CONFIGMAP_NAME" in found
        or (parts.scheme in getproxies() and not proxy_bypass(host))
        # Where it is not there the full client says so.
        or not Path(found.get("AWS_CA_BUNDLE") or found.get("REQUESTS_CA_BUNDLE", "/")).exists()
        or any(name.startswith(("AWS_", "S3_")) and name not in READ | IGNORED for name in found)
        or (Path.home() / ".aws" / "config").exists()
    )


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""

"""List a bucket without boto3, whose import takes longer than the rest of a store hit.

This module knows one request and the plain settings of a named endpoint with keys (MinIO, Ceph,
SeaweedFS and the like). It leaves all other settings and answers to boto3.
"""

from __future__ import annotations

import os
import re
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
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

# The variables that kserve-storage reads for each field of STORAGE_CONFIG.
SPEC = {
    "endpoint_url": "AWS_ENDPOINT_URL",
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "region": "AWS_DEFAULT_REGION",
    "ca_bundle": "AWS_CA_BUNDLE",
    "verify_ssl": "S3_VERIFY_SSL",
    "anonymous": "awsAnonymousCredential",
}
KNOWN = {
    *(*SPEC.values(), "AWS_SESSION_TOKEN", "S3_CONNECT_TIMEOUT", "S3_READ_TIMEOUT"),
    # These change nothing in one request to a named endpoint.
    *("S3_ENDPOINT", "S3_USE_HTTPS", "S3_MAX_ATTEMPTS", "S3_MAX_FILE_CONCURRENCY"),
    "AWS_EC2_METADATA_DISABLED",
}
# The bucket is in another region or at another endpoint, which boto3 finds by itself.
ELSEWHERE = frozenset([301, 302, 307, 308, 400])


class ElsewhereError(Exception):
    """The server sends the client to another place, or wants another kind of request."""


@dataclass(frozen=True)
class PlainSettings:
    """An endpoint that takes path-style requests; ``keys`` is None for anonymous access.

    ``timeouts``: seconds to connect and to read. ``certificates``: a file with the certificates to
    trust, or None for certifi's.
    """

    endpoint: str
    region: str
    keys: Keys | None
    timeouts: tuple[float, float]
    certificates: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> PlainSettings | None:
        """Read the settings; return None if this module does not know one of them."""
        found = _variables(environ)
        certificates = found.get("AWS_CA_BUNDLE") or found.get("REQUESTS_CA_BUNDLE")
        if _needs_boto3(found) or not Path(certificates or "/").exists():
            return None
        keys = None
        if found.get("awsAnonymousCredential", "").lower() != "true":
            key, secret = found.get("AWS_ACCESS_KEY_ID"), found.get("AWS_SECRET_ACCESS_KEY")
            if not key or not secret:
                return None
            keys = Keys(key, secret, found.get("AWS_SESSION_TOKEN"))
        stated = (("S3_CONNECT_TIMEOUT", "15"), ("S3_READ_TIMEOUT", "30"))
        try:
            connect, read = (float(found.get(name, default)) for name, default in stated)
        except ValueError:
            return None
        region = found.get("AWS_DEFAULT_REGION", "us-east-1")
        endpoint = found["AWS_ENDPOINT_URL"].rstrip("/")
        return cls(endpoint, region, keys, (connect, read), certificates)


def list_objects(settings: PlainSettings, bucket: str, prefix: str) -> Iterator[RemoteFile]:
    """List the objects whose keys start with a prefix, as ``buckets.ListObjects`` describes them.

    Raises:
        ElsewhereError: boto3 has to ask.
        Exception: one that ``failures`` knows.
    """
    query = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
    with _connection(settings) as connection:
        while True:
            page = _page(connection, settings, f"/{quote(bucket)}", query)
            encoded = _text(page, "EncodingType") == "url"
            for each in page.iterfind("{*}Contents"):
                key = _text(each, "Key")
                name = unquote(key) if encoded else key
                yield RemoteFile(name, int(_text(each, "Size")), _text(each, "ETag"))
            if _text(page, "IsTruncated") != "true":
                return
            query["continuation-token"] = _text(page, "NextContinuationToken")


@contextmanager
def _connection(settings: PlainSettings) -> Iterator[HTTPConnection]:
    parts = urlsplit(settings.endpoint)
    connect, read = settings.timeouts
    connection = HTTPConnection(parts.netloc, timeout=connect)
    if parts.scheme == "https":
        import ssl

        import certifi

        trusted = ssl.create_default_context(cafile=settings.certificates or certifi.where())
        connection = HTTPSConnection(parts.netloc, timeout=connect, context=trusted)
    with closing(connection):
        connection.connect()
        connection.sock.settimeout(read)
        yield connection


def _page(
    connection: HTTPConnection, settings: PlainSettings, path: str, query: Mapping[str, str]
) -> ElementTree.Element:
    asked = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    parts = urlsplit(settings.endpoint)
    # Clients leave out a port that is the scheme's own, and servers sign what clients send.
    headers = {"host": parts.netloc.removesuffix(":443" if parts.scheme == "https" else ":80")}
    if settings.keys:
        url = (headers["host"], path, asked)
        headers = sign(settings.keys, settings.region, url, datetime.now(UTC))
    try:
        connection.request("GET", f"{path}?{asked}", headers=headers)
        answer = connection.getresponse()
        content = answer.read()
    except RemoteDisconnected:
        raise
    except (BadStatusLine, ValueError) as error:
        raise ElsewhereError(f"{settings.endpoint} does not speak HTTP") from error
    if answer.status in ELSEWHERE:
        raise ElsewhereError(f"{settings.endpoint} answers {answer.status}")
    if answer.status != 200:
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        metadata = {"ResponseMetadata": {"HTTPStatusCode": answer.status}}
        raise ClientError(metadata, "ListObjectsV2")
    try:
        # botocore parses answers the same way: expat itself limits the expansion of entities.
        return ElementTree.fromstring(content)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ElsewhereError(f"{settings.endpoint} answers with no listing") from error


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return all settings by their variables, including those of STORAGE_CONFIG.

    An empty variable counts as not set; no variables at all mean that the spec is not plain.
    """
    spec: dict[str, str] = {}
    try:
        for name in ("STORAGE_CONFIG", "STORAGE_OVERRIDE_CONFIG"):
            spec |= msgspec.json.decode(environ.get(name) or "{}", type=dict[str, str])
    except msgspec.MsgspecError:
        return {}
    if spec and (spec.pop("type", "") != "s3" or not spec.keys() <= {*SPEC, "bucket"}):
        return {}
    stated = {SPEC[key]: value for key, value in spec.items() if key in SPEC}
    return {name: value for name, value in {**environ, **stated}.items() if value}


def _needs_boto3(found: Mapping[str, str]) -> bool:
    """Return whether the settings ask for more than a signed request to a named endpoint."""
    parts = urlsplit(found.get("AWS_ENDPOINT_URL", ""))
    host = parts.hostname or ""
    return (
        parts.scheme not in ("http", "https")
        or not re.fullmatch(r"[\w.-]+", host)
        or bool(parts.path.strip("/") or parts.query or parts.fragment or parts.username)
        # On AWS a bucket is a host, and regions redirect.
        or "amazonaws" in host
        or found.get("S3_VERIFY_SSL", "true").lower() in ("0", "false")
        or "CA_BUNDLE_CONFIGMAP_NAME" in found
        or (parts.scheme in getproxies() and not proxy_bypass(host))
        or any(name.startswith(("AWS_", "S3_")) and name not in KNOWN for name in found)
        or (Path.home() / ".aws" / "config").exists()
    )


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""

"""Listing a bucket without boto3: for a hit its import and models take longer than all the rest.

The signer is botocore's, the connection urllib3's, as botocore's own is. This knows the plain
settings of an endpoint with keys (MinIO, Ceph, SeaweedFS and the like); whatever else is set, the
full client is asked.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass
from xml.etree import ElementTree

import msgspec

from storage_init.sources.remote import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3 import PoolManager

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
    """An endpoint that takes path-style requests; ``keys`` are access key, secret and token.

    ``certificates``: a file of those to trust, None for certifi's.
    """

    endpoint: str
    region: str
    keys: tuple[str, str, str | None] | None
    timeouts: tuple[float, float]
    certificates: str | None = None

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
            keys=None if anonymous else (key or "", secret or "", found.get("AWS_SESSION_TOKEN")),
            timeouts=timeouts,
            certificates=found.get("AWS_CA_BUNDLE") or found.get("REQUESTS_CA_BUNDLE"),
        )


def list_objects(settings: PlainSettings, bucket: str, prefix: str) -> Iterator[RemoteFile]:
    """The objects whose keys begin with a prefix, as ``buckets.ListObjects`` has them.

    Raises:
        ElsewhereError: ask the full client.
        Exception: botocore's, as the full client raises them.
    """
    import certifi
    import urllib3

    connect, read = settings.timeouts
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=connect, read=read),
        retries=False,
        cert_reqs="CERT_REQUIRED",
        ca_certs=settings.certificates or certifi.where(),
    )
    query = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
    while True:
        page = _page(pool, settings, f"{settings.endpoint}/{bucket}", query)
        encoded = _text(page, "EncodingType") == "url"
        for each in page.iterfind("{*}Contents"):
            key = _text(each, "Key")
            name = unquote(key) if encoded else key
            yield RemoteFile(name, int(_text(each, "Size")), _text(each, "ETag"), name=name)
        if _text(page, "IsTruncated") != "true":
            return
        query["continuation-token"] = _text(page, "NextContinuationToken")


def _page(
    pool: PoolManager, settings: PlainSettings, url: str, query: Mapping[str, str]
) -> ElementTree.Element:
    from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped]
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
    from botocore.credentials import Credentials  # type: ignore[import-untyped]

    asked = f"{url}?{urlencode(sorted(query.items()), quote_via=quote, safe='-_.~')}"
    request = AWSRequest("GET", asked)
    if settings.keys:
        S3SigV4Auth(Credentials(*settings.keys), "s3", settings.region).add_auth(request)
    answer = pool.request("GET", asked, headers=dict(request.headers.items()), redirect=False)
    if answer.status in ELSEWHERE:
        raise ElsewhereError(f"{url} answers {answer.status}")
    if answer.status != 200:
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        metadata = {"ResponseMetadata": {"HTTPStatusCode": answer.status}}
        raise ClientError(metadata, "ListObjectsV2")
    try:
        # As botocore does it: expat itself limits what entities expand to.
        return ElementTree.fromstring(answer.data)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ElsewhereError(f"{url} answers with something else than a listing") from error


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
        or not Path(found.get("AWS_CA_BUNDLE", "/")).exists()
        or any(name.startswith(("AWS_", "S3_")) and name not in READ | IGNORED for name in found)
        or (Path.home() / ".aws" / "config").exists()
    )


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""

"""``https://host/path``: a file or an archive (.tar, .tar.gz, .tgz, .zip) on a web server.

The revision is the SHA-256 in the URI (``#sha256=<hex>``), else the server's strong ETag, else the
SHA-256 of the content, which then has to be read twice. Plain ``http://`` works only with this
machine unless ``WARMSTART_ALLOW_HTTP=true``.
"""

from __future__ import annotations

import hashlib
import logging
import re
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from storage_init.base import space
from storage_init.base.errors import SourceError
from storage_init.base.hashing import CHUNK_BYTES
from storage_init.base.logs import event
from storage_init.base.uris import shown
from storage_init.base.variables import ALLOW_HTTP
from storage_init.format.package import Source
from storage_init.sources import kserve
from storage_init.sources.transfer import archives, ranges
from storage_init.sources.transfer.remote import Remote, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from requests import Response, Session

TIMEOUT_SECONDS = (15, 30)
MAX_REDIRECTS = 5
PIN = re.compile(r"sha256=([0-9a-f]{64})")

log = logging.getLogger(__name__)


def resolve(uri: str) -> Source:
    url, pin = _parse(uri)
    if pin:  # no need to ask the server
        return Source(uri=uri, revision=f"sha256:{pin}")
    with _session() as session:
        file = _probe(session, url)
        if file.tag:
            revision = f"etag:{file.tag}"
        else:
            event(log, "no strong ETag: the content is read once to pin it", uri=shown(uri))
            revision = f"sha256:{_sha256(session, file)}"
    return Source(uri=uri, revision=revision)


def connect(source: Source) -> Remote:
    url, _ = _parse(source.uri)
    session = _session()
    file = _probe(session, url)
    kind, _, value = source.revision.partition(":")
    if kind == "etag" and value != file.tag:
        raise SourceError(f"{shown(source.uri)} has changed since it was resolved: start again")
    pinned = replace(file, digest=source.revision if kind == "sha256" else "")
    return Remote([pinned], partial(ranges.download, read=partial(_read, session)))


def _parse(uri: str) -> tuple[str, str | None]:
    """Return the URL and the SHA-256 in its fragment.

    Raises:
        SourceError: the URI has another form.
    """
    url, separator, fragment = uri.partition("#")
    pin = PIN.fullmatch(fragment)
    parts = urlsplit(url)
    if separator and not pin:
        raise SourceError(f"{shown(uri)}: a # must be followed by sha256= and 64 hex digits")
    if not parts.hostname or parts.username is not None or not url.isprintable():
        raise SourceError(
            f"{shown(uri)} is not of the form https://host/path; credentials belong in ~/.netrc or "
            "the variable <host>-headers"
        )
    if not _file_name(url):
        raise SourceError(f"{shown(uri)} names no file")
    return url, pin[1] if pin else None


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _session() -> Session:
    kserve.apply_settings()
    import requests

    return requests.Session()


def _probe(session: Session, url: str) -> RemoteFile:
    """Ask the server about a file.

    The request is a GET of one byte, because signed URLs do not answer HEAD.
    """
    with _get(session, url, {"Range": "bytes=0-0"}) as response:
        given = response.headers
        has_ranges = response.status_code == 206
        header = "Content-Range" if has_ranges else "Content-Length"
        size = given.get(header, "").rpartition("/")[2]
    name, etag = _file_name(url), given.get("ETag", "")
    if not size.isdecimal():
        raise SourceError(f"{shown(url)}: the server does not state the file's size")
    if given.get("Content-Encoding", "identity") != "identity" and not name.endswith(
        archives.ENDINGS
    ):
        raise SourceError(f"{shown(url)}: the server sends only compressed content")
    strong = etag if etag.startswith('"') else ""
    return RemoteFile(name, int(size), strong, ranges=has_ranges and bool(strong), name=url)


def _read(session: Session, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
    wanted = f"bytes={start}-{end - 1}"
    headers = {"Range": wanted, "If-Range": file.tag} if file.ranges else {}
    with _get(session, file.name, headers) as response:
        given = response.headers
        changed = file.tag and given.get("ETag", file.tag) != file.tag
        expected = f"{wanted.replace('=', ' ')}/{file.size}"
        # If the file changed, If-Range makes the server send all of it.
        if changed or (file.ranges and given.get("Content-Range") != expected):
            raise SourceError(f"{shown(file.name)} changed while it was being fetched: start again")
        yield from response.raw.stream(CHUNK_BYTES, decode_content=False)


def _sha256(session: Session, file: RemoteFile) -> str:
    space.check_size(file.size, shown(file.name))
    digest = hashlib.sha256()
    for chunk in _read(session, file, 0, file.size):
        digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _get(session: Session, url: str, headers: Mapping[str, str]) -> Iterator[Response]:
    """Send a GET request and follow redirects.

    A host receives only its own headers, and every URL must use TLS.
    """
    first = url
    for _ in range(MAX_REDIRECTS + 1):
        _check_encrypted(url, first)
        own = kserve.headers(urlsplit(url).hostname or "")
        response = session.get(
            url,
            headers={"Accept-Encoding": "identity", **own, **headers},
            stream=True,
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        )
        with response:
            if not response.is_redirect:
                response.raise_for_status()
                yield response
                return
            url = urljoin(url, response.headers["Location"])
    raise SourceError(f"{shown(url)}: more than {MAX_REDIRECTS} redirects")


def _check_encrypted(url: str, first: str) -> None:
    """Refuse a URL that is not encrypted; ``first`` is the one that redirects led away from.

    A server elsewhere must not reach this machine's ports by a redirect.
    """
    allowed = ALLOW_HTTP.read() or (_is_local(url) and _is_local(first))
    if urlsplit(url).scheme == "https" or (urlsplit(url).scheme == "http" and allowed):
        return
    raise SourceError(
        f"{shown(url)} is refused: use https://, or set {ALLOW_HTTP.name}=true if the network is "
        "trusted"
    )


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""AWS Signature Version 4 of a GET request without a body.

botocore signs requests, too, but its import takes longer than a store hit should.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

NO_CONTENT = hashlib.sha256(b"").hexdigest()
ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Keys:
    """An access key, its secret, and a session's token."""

    access: str
    secret: str
    token: str | None = None


def sign(keys: Keys, region: str, url: tuple[str, str, str], now: datetime) -> dict[str, str]:
    """Return the headers that sign a GET request to S3; ``now`` is in UTC.

    ``url``: host, path and query. Path and query are percent-encoded, the query sorted by name.
    """
    host, path, query = url
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": NO_CONTENT, "x-amz-date": stamp}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(headers)  # they are in the order that the signature wants
    lines = [f"{name}:{value}" for name, value in headers.items()]
    request = "\n".join(["GET", path, query, *lines, "", names, NO_CONTENT])
    scope = [stamp[:8], region, "s3", "aws4_request"]
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join([ALGORITHM, stamp, "/".join(scope), digest])
    key = f"AWS4{keys.secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = "/".join([keys.access, *scope])
    stated = f"Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"{ALGORITHM} {stated}"}

"""AWS Signature Version 4 of a GET without a body, as its documentation gives the steps.

botocore has it, too; importing that takes as long as hashing a hundred megabytes.
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
    """An access key with its secret, and the token of a session."""

    access: str
    secret: str
    token: str | None = None


def sign(keys: Keys, region: str, url: tuple[str, str, str], now: datetime) -> dict[str, str]:
    """The headers that make a GET of S3 a signed one.

    Args:
        keys: whose.
        region: the bucket's.
        url: host (with its port, if that is not the scheme's own), path and query; the two are
            percent-encoded and the query is in the order of its names.
        now: in UTC.
    """
    host, path, query = url
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": NO_CONTENT, "x-amz-date": stamp}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = [f"{name}:{value}" for name, value in sorted(headers.items())]
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

"""Signatures are botocore's to the letter."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest
from botocore import auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

from storage_init.sources.sigv4 import Keys, sign

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize("token", [None, "a+token/=="])
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "https://minio.example"])
@pytest.mark.parametrize("prefix", ["", "model/", "a b+c&d=e%41~/", "ä/"])
def test_it_signs_as_botocore_does(
    prefix: str, endpoint: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: NOW)
    query = urlencode({"list-type": "2", "prefix": prefix}, quote_via=quote, safe="-_.~")
    request = AWSRequest("GET", f"{endpoint}/bucket?{query}")
    auth.S3SigV4Auth(Credentials("key", "secret", token), "s3", "eu-west-1").add_auth(request)
    theirs = {name.lower(): value for name, value in request.headers.items()}
    host = endpoint.partition("://")[2]
    ours = sign(Keys("key", "secret", token), "eu-west-1", (host, "/bucket", query), NOW)
    assert ours == {"host": host, **theirs}

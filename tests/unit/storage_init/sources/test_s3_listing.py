"""A listing without boto3: the same as boto3's, or left to boto3."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NoReturn

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError, UnreachableError
from storage_init.sources import buckets, s3, s3_listing
from storage_init.sources.s3_listing import PlainSettings
from storage_init.sources.sigv4 import Keys
from tests.support.servers.s3 import s3_stub
from tests.support.servers.seaweed import environment
from tests.support.servers.web import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers.web import Web

URI = "s3://models/m"
PLAIN = {
    "AWS_ENDPOINT_URL": "https://minio.example:9000/",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
SPEC = (
    '{"type": "s3", "bucket": "b", "endpoint_url": "http://ceph", "access_key_id": "a",'
    ' "secret_access_key": "b", "region": "eu-central-1"}'
)
ODD_KEYS = ("m/a b+c&d=e.json", "m/ä%41.txt", "m/model.onnx", "m/1_Pooling/config.json")


@pytest.fixture(autouse=True)
def _no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with s3_stub({key: key.encode() for key in ODD_KEYS}) as running:
        for name, value in environment(running.url).items():
            monkeypatch.setenv(name, value)
        yield running


def no_boto3() -> NoReturn:
    raise AssertionError("boto3 is not needed")


@pytest.mark.parametrize(
    ("stated", "settings"),
    [
        (
            PLAIN,
            PlainSettings(
                "https://minio.example:9000", "us-east-1", Keys("key", "secret"), (15, 30)
            ),
        ),
        (
            PLAIN
            | {"STORAGE_CONFIG": SPEC, "STORAGE_OVERRIDE_CONFIG": '{"region": "eu-west-1"}'}
            | {"S3_READ_TIMEOUT": "7"},
            PlainSettings("http://ceph", "eu-west-1", Keys("a", "b"), (15, 7)),
        ),
        (
            {"AWS_ENDPOINT_URL": "http://ceph", "awsAnonymousCredential": "True"},
            PlainSettings("http://ceph", "us-east-1", None, (15, 30)),
        ),
    ],
    ids=["variables", "KServe's storage spec overrides them", "anonymous"],
)
def test_plain_settings_are_read(stated: dict[str, str], settings: PlainSettings) -> None:
    assert PlainSettings.from_environment(stated) == settings


@pytest.mark.parametrize(
    "changed",
    [
        *({"AWS_ENDPOINT_URL": url} for url in ("", "https://s3.amazonaws.com")),
        *({"AWS_ENDPOINT_URL": url} for url in ("https://minio/below", "https://user@minio")),
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_PROFILE": "work"},
        {"AWS_CA_BUNDLE": "/nowhere.pem"},
        {"S3_VERIFY_SSL": "false"},
        {"S3_USER_VIRTUAL_BUCKET": "true"},
        {"S3_CONNECT_TIMEOUT": "soon"},
        {"CA_BUNDLE_CONFIGMAP_NAME": "certificates"},
        *({"STORAGE_CONFIG": spec} for spec in ("{", '{"type": "hdfs"}')),
        {"STORAGE_CONFIG": '{"type": "s3", "role": "arn"}'},
    ],
    ids=str,
)
def test_other_settings_are_left_to_boto3(changed: dict[str, str]) -> None:
    assert PlainSettings.from_environment({**PLAIN, **changed}) is None


def test_a_configuration_file_and_a_proxy_are_left_to_boto3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    for hosts, plain in (("", False), ("minio.example", True)):
        monkeypatch.setenv("no_proxy", hosts)
        assert (PlainSettings.from_environment(PLAIN) is not None) is plain
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").touch()
    assert PlainSettings.from_environment(PLAIN) is None


def test_the_revision_is_the_same_as_boto3s(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = buckets.resolve(URI, partial(s3._list_objects, s3._client()))
    monkeypatch.setattr(s3, "_client", no_boto3)
    assert sources.resolve(URI) == expected
    ours, theirs = server.requests[-1], server.requests[0]
    assert ours.path == theirs.path.rstrip("/")
    assert sorted(ours.query.split("&")) == sorted(theirs.query.split("&"))
    assert "x-amz-date, Signature=" in ours.headers["Authorization"]


def test_all_pages_of_a_listing_are_read(server: Web) -> None:
    def page(request: Request) -> Answer:
        last = "continuation-token=n%2Fext" in request.query
        key, more = ("m/b", "false") if last else ("m/a", "true")
        content = (
            '<R xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents><Key>'
            f"{key}</Key><Size>1</Size><ETag>&quot;e&quot;</ETag></Contents><IsTruncated>{more}"
            "</IsTruncated><NextContinuationToken>n/ext</NextContinuationToken></R>"
        )
        return Answer(200, content=content.encode())

    server.answer = page
    settings = PlainSettings.from_environment()
    assert settings is not None
    found = list(s3_listing.list_objects(settings, "models", "m/"))
    assert [(f.path, f.size, f.tag) for f in found] == [("m/a", 1, '"e"'), ("m/b", 1, '"e"')]


@pytest.mark.parametrize("answer", [Answer(301), Answer(400), Answer(200, content=b"<html>")])
def test_other_answers_are_left_to_boto3(answer: Answer, server: Web) -> None:
    given = server.answer
    server.answer = lambda request: given(request) if len(server.requests) > 1 else answer
    assert sources.resolve(URI).revision
    assert len(server.requests) >= 2


@pytest.mark.parametrize(("status", "is_unreachable"), [(503, True), (403, False)])
def test_an_overloaded_server_is_unreachable_and_a_refusing_one_is_not(
    status: int, is_unreachable: bool, server: Web
) -> None:
    server.answer = lambda _: Answer(status)
    with pytest.raises(SourceError) as caught:
        sources.resolve(URI, retries=0)
    assert isinstance(caught.value, UnreachableError) is is_unreachable
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9", "https://127.0.0.1:9", "http://x.invalid"]
)
def test_a_server_that_is_gone_is_unreachable(
    endpoint: str, server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_client", no_boto3)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(UnreachableError, match=f"{URI} cannot be fetched: "):
        sources.resolve(URI, retries=0)
    assert server.requests == []

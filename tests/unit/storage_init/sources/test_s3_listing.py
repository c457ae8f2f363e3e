"""Listing without boto3: the same as with it, or left to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError, UnreachableError
from storage_init.sources import buckets, s3, s3_listing
from storage_init.sources.s3_listing import PlainSettings
from storage_init.sources.sigv4 import Keys
from storage_init.sources.transfer import failures
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
ODD_KEYS = ("m/a b+c&d=e.json", "m/ä%41.txt", "m/model.onnx", "m/1_Pooling/config.json")


@pytest.fixture(autouse=True)
def _no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("STORAGE_CONFIG", "STORAGE_OVERRIDE_CONFIG", "CA_BUNDLE_CONFIGMAP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with s3_stub({key: key.encode() for key in ODD_KEYS}) as running:
        for name, value in environment(running.url).items():
            monkeypatch.setenv(name, value)
        yield running


def no_full_client() -> None:
    raise AssertionError("the full client is not needed")


def test_plain_settings_are_read() -> None:
    assert PlainSettings.from_environment(PLAIN) == PlainSettings(
        endpoint="https://minio.example:9000",
        region="us-east-1",
        keys=Keys("key", "secret"),
        timeouts=(15.0, 30.0),
    )


def test_kserves_storage_spec_goes_before_the_variables() -> None:
    spec = (
        '{"type": "s3", "bucket": "b", "endpoint_url": "http://ceph", "access_key_id": "a",'
        ' "secret_access_key": "b", "region": "eu-central-1"}'
    )
    override = '{"region": "eu-west-1"}'
    stated = {"STORAGE_CONFIG": spec, "STORAGE_OVERRIDE_CONFIG": override}
    found = PlainSettings.from_environment({**PLAIN, **stated, "S3_READ_TIMEOUT": "7"})
    assert found == PlainSettings("http://ceph", "eu-west-1", Keys("a", "b"), (15.0, 7.0))


def test_anonymous_needs_no_keys() -> None:
    stated = {"AWS_ENDPOINT_URL": "http://ceph", "awsAnonymousCredential": "True"}
    found = PlainSettings.from_environment(stated)
    assert found is not None
    assert found.keys is None


@pytest.mark.parametrize(
    "changed",
    [
        {"AWS_ENDPOINT_URL": ""},
        {"AWS_ENDPOINT_URL": "https://s3.amazonaws.com"},
        {"AWS_ENDPOINT_URL": "https://minio/below"},
        {"AWS_ENDPOINT_URL": "https://user@minio"},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_PROFILE": "work"},
        {"AWS_ROLE_ARN": "arn", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"},
        {"AWS_CONFIG_FILE": "/config"},
        {"AWS_CA_BUNDLE": "/nowhere.pem"},
        {"AWS_A_SETTING_OF_NEXT_YEAR": "1"},
        {"S3_VERIFY_SSL": "false"},
        {"S3_USER_VIRTUAL_BUCKET": "true"},
        {"S3_USE_ACCELERATE": "true"},
        {"S3_CONNECT_TIMEOUT": "soon"},
        {"CA_BUNDLE_CONFIGMAP_NAME": "certificates"},
        {"STORAGE_CONFIG": "{"},
        {"STORAGE_CONFIG": '{"type": "hdfs"}'},
        {"STORAGE_CONFIG": '{"type": "s3", "role": "arn"}'},
    ],
    ids=str,
)
def test_whatever_else_is_set_is_left_to_the_full_client(changed: dict[str, str]) -> None:
    assert PlainSettings.from_environment({**PLAIN, **changed}) is None


def test_a_configuration_file_is_left_to_the_full_client(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").touch()
    assert PlainSettings.from_environment(PLAIN) is None


def test_a_proxy_is_left_to_the_full_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    monkeypatch.setenv("no_proxy", "")
    assert PlainSettings.from_environment(PLAIN) is None
    monkeypatch.setenv("no_proxy", "minio.example")
    assert PlainSettings.from_environment(PLAIN) is not None


def test_the_revision_is_the_full_clients(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    full = buckets.resolve(URI, s3._lister(s3._client()))
    monkeypatch.setattr(s3, "_client", no_full_client)
    assert sources.resolve(URI) == full
    ours, theirs = server.requests[-1], server.requests[0]
    assert ours.path == theirs.path.rstrip("/")
    assert sorted(ours.query.split("&")) == sorted(theirs.query.split("&"))
    assert "x-amz-date, Signature=" in ours.headers["Authorization"]


def test_a_listing_of_several_pages_is_read_to_its_end(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    def page(request: Request) -> Answer:
        last = "continuation-token=n%2Fext" in request.query
        key, more = ("m/b", "false") if last else ("m/a", "true")
        token = "" if last else "<NextContinuationToken>n/ext</NextContinuationToken>"
        return Answer(
            200,
            content=(
                '<R xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents><Key>'
                f"{key}</Key><Size>1</Size><ETag>&quot;e&quot;</ETag></Contents>{token}"
                f"<IsTruncated>{more}</IsTruncated></R>"
            ).encode(),
        )

    server.answer = page
    settings = PlainSettings.from_environment()
    assert settings is not None
    found = list(s3_listing.list_objects(settings, "models", "m/"))
    assert [(file.path, file.size, file.tag) for file in found] == [
        ("m/a", 1, '"e"'),
        ("m/b", 1, '"e"'),
    ]


@pytest.mark.parametrize("answer", [Answer(301), Answer(400), Answer(200, content=b"<html>")])
def test_an_answer_that_leads_elsewhere_is_left_to_the_full_client(
    answer: Answer, server: Web
) -> None:
    given = server.answer
    server.answer = lambda request: given(request) if len(server.requests) > 1 else answer
    assert sources.resolve(URI).revision
    assert len(server.requests) >= 2


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_final(server: Web, status: int) -> None:
    server.answer = lambda _: Answer(status)
    with pytest.raises(SourceError) as caught:
        sources.resolve(URI)
    assert not isinstance(caught.value, UnreachableError)
    assert len(server.requests) == 1


def test_a_server_that_is_gone_is_unreachable(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    for gone in ("http://127.0.0.1:9", "https://127.0.0.1:9", "http://nowhere.invalid"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", gone)
        with pytest.raises(UnreachableError, match=f"{URI} cannot be fetched: "):
            sources.resolve(URI, retries=0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    server.answer = lambda _: Answer(503)
    with pytest.raises(UnreachableError, match="the server answers 503"):
        sources.resolve(URI, retries=1)
    assert len(server.requests) == 2

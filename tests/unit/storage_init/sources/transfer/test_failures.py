"""Which failures are worth another try, and what is said of the others."""

from __future__ import annotations

import errno
import logging
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn

import botocore.exceptions as aws  # type: ignore[import-untyped]
import httpx
import pytest
import requests
import urllib3
from google.api_core import exceptions as google

from storage_init.base.errors import SourceError
from storage_init.base.variables import RETRIES
from storage_init.sources.transfer import failures
from storage_init.sources.transfer.failures import (
    describe,
    explained,
    is_transient,
    retrying,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

URI = "s3://bucket/model"


def of_requests(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("x", response=response)


def of_boto(status: int) -> aws.ClientError:
    document = {"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(document, "GetObject")


def of_httpx(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "https://host")
    return httpx.HTTPStatusError("x", request=request, response=httpx.Response(status))


def of_google(status: int) -> Exception:
    error: Exception = google.from_http_status(status, "x")  # type: ignore[no-untyped-call]
    return error


def wrapped(error: Exception, outer: Exception) -> Exception:
    try:
        raise outer from error
    except Exception as chained:  # noqa: BLE001
        return chained


MAKERS: list[Callable[[int], Exception]] = [of_requests, of_boto, of_httpx, of_google]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 412, 416, 429, 500, 502, 503, 504])
def test_a_status_decides(make: Callable[[int], Exception], status: int) -> None:
    for error in (make(status), wrapped(make(status), FileNotFoundError("not in the cache"))):
        assert status_of(error) == status
        assert is_transient(error) == (status in (408, 429, 500, 502, 503, 504))


@pytest.mark.parametrize(
    "error",
    [
        *(ConnectionResetError(), TimeoutError(), requests.ConnectionError(), requests.Timeout()),
        *(
            requests.exceptions.ChunkedEncodingError(),
            httpx.ConnectError(""),
            httpx.ReadTimeout(""),
        ),
        *(httpx.RemoteProtocolError(""), urllib3.exceptions.ProtocolError()),
        *(urllib3.exceptions.IncompleteRead(1, 2), aws.EndpointConnectionError(endpoint_url="x")),
        *(aws.ReadTimeoutError(endpoint_url="x"), aws.ResponseStreamingError(error="x")),
        *(aws.IncompleteReadError(actual_bytes=1, expected_bytes=2),),
        wrapped(ConnectionRefusedError(), ValueError("wrapped")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_broken_connection_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError(), OSError(errno.ENOSPC, "full"), PermissionError(), KeyError("x")),
        *(SourceError("refused"), aws.NoCredentialsError(), requests.exceptions.InvalidURL()),
        wrapped(ssl.SSLCertVerificationError(), requests.exceptions.SSLError()),
        wrapped(SourceError("refused"), requests.ConnectionError()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_anything_else_is_final(error: Exception) -> None:
    assert not is_transient(error)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(failures, "time", SimpleNamespace(sleep=waited.append))
    monkeypatch.delenv(RETRIES.name, raising=False)
    return waited


def test_waits_double_and_differ(waits: list[float]) -> None:
    def fail() -> NoReturn:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        retrying(fail, URI)
    assert len(waits) == RETRIES.default == 5
    for wait, longest in zip(waits, [1, 2, 4, 8, 16], strict=True):
        assert longest / 2 <= wait <= longest
    first = list(waits)
    with pytest.raises(ConnectionError):
        retrying(fail, URI)
    assert waits[5:] != first


def test_what_succeeds_in_the_end_is_returned_and_each_failure_logged(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    answers = [ConnectionError("cut"), of_requests(503)]

    def act() -> str:
        if answers:
            raise answers.pop(0)
        return "done"

    with caplog.at_level(logging.INFO):
        assert retrying(act, URI) == "done"
    fields = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
    assert [f["why"] for f in fields] == ["ConnectionError: cut", "the server answers 503"]
    assert [f["uri"] for f in fields] == [URI, URI]


def test_a_final_failure_is_not_tried_again(waits: list[float]) -> None:
    def fail() -> NoReturn:
        raise of_requests(404)

    with pytest.raises(requests.HTTPError):
        retrying(fail, URI)
    assert waits == []


def test_progress_starts_the_count_over(waits: list[float]) -> None:
    arrived = [0]

    def act() -> None:
        arrived[0] += failures.PROGRESS_BYTES
        if arrived[0] < 20 * failures.PROGRESS_BYTES:
            raise ConnectionError

    retrying(act, URI, lambda: arrived[0])
    assert len(waits) == 19
    assert max(waits) <= failures.FIRST_WAIT_SECONDS


@pytest.mark.parametrize("number", ["0", "3"])
def test_the_number_of_retries_can_be_set(
    number: str, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> NoReturn:
        raise ConnectionError

    monkeypatch.setenv(RETRIES.name, number)
    with pytest.raises(ConnectionError):
        retrying(fail, URI)
    assert len(waits) == int(number)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (of_boto(403), "access is refused (403): check the credentials and what they may read"),
        (of_httpx(500), "the server answers 500"),
        (
            wrapped(ValueError("at the\nbottom"), RuntimeError("on top")),
            "ValueError: at the bottom",
        ),
    ],
)
def test_an_error_becomes_one_sentence(error: Exception, text: str) -> None:
    with pytest.raises(SourceError) as caught, explained(URI):
        raise error
    assert str(caught.value) == f"{URI} cannot be fetched: {text}"
    assert describe(error) == text


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        PermissionError(errno.EACCES, "Permission denied", "/mnt/models/x"),
    ],
)
def test_an_error_of_the_disk_stays_what_it_is(error: OSError) -> None:
    with pytest.raises(type(error)) as caught, explained(URI):
        raise wrapped(error, RuntimeError("of a library"))
    assert caught.value is error

"""Failures of transports: which are tried again, and the sentence that describes them."""

from __future__ import annotations

import errno
import logging
import socket
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
@pytest.mark.parametrize("status", [400, 404, 408, 412, 429, 503])
def test_the_status_decides_whether_a_failure_may_pass(
    make: Callable[[int], Exception], status: int
) -> None:
    for error in (make(status), wrapped(make(status), FileNotFoundError())):
        assert status_of(error) == status
        assert is_transient(error) == (status in (408, 429, 503))


@pytest.mark.parametrize(
    "error",
    [
        *(ConnectionResetError(), TimeoutError(), requests.ConnectionError(), requests.Timeout()),
        *(requests.exceptions.ChunkedEncodingError(), socket.gaierror(-2, "unknown")),
        *(httpx.ConnectError(""), httpx.ReadTimeout(""), httpx.RemoteProtocolError("")),
        *(urllib3.exceptions.ProtocolError(), urllib3.exceptions.IncompleteRead(1, 2)),
        *(aws.EndpointConnectionError(endpoint_url="x"), aws.ReadTimeoutError(endpoint_url="x")),
        *(aws.ResponseStreamingError(error="x"), OSError(errno.EHOSTUNREACH, "no route")),
        aws.IncompleteReadError(actual_bytes=1, expected_bytes=2),
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
def test_other_errors_are_final(error: Exception) -> None:
    assert not is_transient(error)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each wait, without the waits."""
    waited: list[float] = []
    monkeypatch.setattr(failures, "time", SimpleNamespace(sleep=waited.append))
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 1.0)
    return waited


def failing(error: Exception) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail


def test_waits_double_and_differ(waits: list[float]) -> None:
    for _ in range(2):
        with pytest.raises(ConnectionError):
            retrying(failing(ConnectionError()), URI)
    assert RETRIES.default == 5
    for wait, longest in zip(waits, [1, 2, 4, 8, 16] * 2, strict=True):
        assert longest / 2 <= wait <= longest
    assert waits[5:] != waits[:5]


def test_a_late_success_is_returned_and_each_failure_is_logged(
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
    with pytest.raises(requests.HTTPError):
        retrying(failing(of_requests(404)), URI)
    assert waits == []


def test_progress_resets_the_count(waits: list[float]) -> None:
    arrived = [0]

    def act() -> None:
        arrived[0] += failures.PROGRESS_BYTES
        if arrived[0] < 20 * failures.PROGRESS_BYTES:
            raise ConnectionError

    retrying(act, URI, lambda: arrived[0])
    assert len(waits) == 19
    assert max(waits) <= failures.FIRST_WAIT_SECONDS


@pytest.mark.parametrize(
    ("setting", "limit", "tries"), [("0", None, 0), ("3", None, 3), ("3", 1, 1)]
)
def test_the_number_of_retries_can_be_set(
    setting: str,
    limit: int | None,
    tries: int,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(RETRIES.name, setting)
    with pytest.raises(ConnectionError):
        retrying(failing(ConnectionError()), URI, retries=limit)
    assert len(waits) == tries


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
def test_an_error_of_the_disk_is_raised_as_it_is(error: OSError) -> None:
    with pytest.raises(type(error)) as caught, explained(URI):
        raise wrapped(error, RuntimeError("of a library"))
    assert caught.value is error

"""Log lines: one for each event, as text and as JSON."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage_init.base import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("storage_init.test")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def text_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of stderr without their time."""
    lines = capsys.readouterr().err.splitlines()
    times = [re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line) for line in lines]
    assert all(times), lines
    return [line.partition(" ")[2] for line in lines]


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_text_line_is_level_logger_message_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    logs.event(log, "fetched", files=3, uri="hf://a/b", cpu="a slow one")
    log.warning("plain, %d", 1)
    assert text_lines(capsys) == [
        'INFO storage_init.test fetched files=3 uri=hf://a/b cpu="a slow one"',
        "WARNING storage_init.test plain, 1",
    ]


def test_a_json_line_is_one_object_with_typed_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    logs.event(log, "fetched", files=3, where=Path("/mnt"), cpu='a "slow"\none')
    (line,) = json_lines(capsys)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "storage_init.test",
        "message": "fetched",
        "files": 3,
        "where": "/mnt",
        "cpu": 'a "slow"\none',
    }


def test_a_text_line_quotes_and_escapes_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    logs.event(log, "failed", why='two\r\nlines, "no" files=9', files=3)
    assert text_lines(capsys) == [
        r'INFO storage_init.test failed why="two\r\nlines, \"no\" files=9" files=3'
    ]


def test_a_message_of_several_lines_becomes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    # The last line of a failed initializer is the pod's termination message.
    logs.configure("text")
    log.error("%s", "the repository\n\nis gone")
    assert text_lines(capsys) == ["ERROR storage_init.test the repository is gone"]


def test_both_formats_have_the_traceback_of_an_exception(
    capsys: pytest.CaptureFixture[str],
) -> None:
    styles: list[logs.LogFormat] = ["text", "json"]
    for style in styles:
        logs.configure(style)
        try:
            raise ValueError("the cause")
        except ValueError:
            log.exception("failed")
    text, _, last = capsys.readouterr().err.strip().rpartition("\n")
    assert text.endswith("ValueError: the cause")
    assert "ValueError: the cause" in json.loads(last)["exception"]


def test_a_timed_block_logs_its_seconds_and_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    logs.configure("json")  # replaces the first handler
    with logs.timed(log, "verified", uri="file:///m") as fields:
        fields["files"] = 7
    with pytest.raises(RuntimeError), logs.timed(log, "a block that fails logs nothing"):
        raise RuntimeError
    (line,) = json_lines(capsys)
    assert (line["message"], line["uri"], line["files"]) == ("verified", "file:///m", 7)
    assert 0 <= line["seconds"] < 5


@pytest.mark.parametrize("client", ["httpx", "httpx2"])
def test_the_hubs_client_does_not_log_addresses(
    client: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure()
    logging.getLogger(client).info("HTTP Request: GET https://cdn/file?X-Amz-Signature=secret")
    assert capsys.readouterr().err == ""

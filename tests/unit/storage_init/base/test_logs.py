"""Log lines: one an event, in both formats."""

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
    """Lines of stderr without their time."""
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


@pytest.mark.parametrize("value", ["two\nlines", "a\r\nb"])
def test_no_value_breaks_a_text_line(capsys: pytest.CaptureFixture[str], value: str) -> None:
    logs.configure("text")
    logs.event(log, "failed", why=value)
    (line,) = text_lines(capsys)
    assert line.startswith('INFO storage_init.test failed why="')


def test_a_message_of_several_lines_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    # The last line of a failed initializer is the pod's termination message.
    logs.configure("text")
    log.error("%s", "the repository\n\nis gone")
    (line,) = text_lines(capsys)
    assert "the repository" in line
    assert "is gone" in line


def test_a_quote_inside_a_value_does_not_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    logs.event(log, "failed", why='said "no" files=9', files=3)
    (line,) = text_lines(capsys)
    assert not re.search(r'(?<!\\)" files=9', line)


def test_an_exception_is_told_in_both_formats(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_timed_block_is_one_line_with_its_seconds_and_added_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("json")
    with logs.timed(log, "verified", uri="file:///m") as fields:
        fields["files"] = 7
    (line,) = json_lines(capsys)
    assert (line["message"], line["uri"], line["files"]) == ("verified", "file:///m", 7)
    assert 0 <= line["seconds"] < 5


def test_a_timed_block_that_fails_does_not_claim_to_be_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("json")
    with pytest.raises(RuntimeError), logs.timed(log, "verified"):
        raise RuntimeError
    assert json_lines(capsys) == []


def test_configuring_again_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    logs.configure("json", level="WARNING")
    log.info("not wanted")
    log.warning("once")
    assert [line["message"] for line in json_lines(capsys)] == ["once"]

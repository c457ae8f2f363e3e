"""Bars on a terminal, lines in a log."""

from __future__ import annotations

import io
import logging
import time
from typing import TYPE_CHECKING

from pipeline.commands.display import Bars, Plain
from pipeline.preparation import downloads
from storage_init.sources.transfer import progress as fetching

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_log_gets_the_lines_as_they_are() -> None:
    stream = io.StringIO()
    display = Plain(stream)
    display.show("▸ [2/6] export   …")
    display.close()
    assert stream.getvalue() == "▸ [2/6] export   …\n"


def test_a_terminal_sees_how_far_a_download_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.commands.display.REFRESH_SECONDS", 0.01)
    stream = io.StringIO()
    display = Bars(stream, tmp_path, total=4_000_000)
    display.show("▸ [1/6] snapshot …")
    (tmp_path / "model.safetensors").write_bytes(bytes(1_000_000))
    _wait_for(stream, "1.00M/4.00M")
    assert " 25%" in stream.getvalue()
    assert "B/s" in stream.getvalue()
    display.show("✓ [1/6] snapshot    1.0 s   40.0 MB  bert")
    assert stream.getvalue().endswith("✓ [1/6] snapshot    1.0 s   40.0 MB  bert\n")


def test_a_terminal_sees_how_long_a_step_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.commands.display.REFRESH_SECONDS", 0.01)
    stream = io.StringIO()
    display = Bars(stream, tmp_path, total=1)
    display.show("▸ [2/6] export   …")
    _wait_for(stream, "▸ [2/6] export   00:0")
    # Lines within a step would tear the bar.
    display.show("▸ [2/6] export   half of it")
    assert "half of it" not in stream.getvalue()
    display.close()


def test_what_arrives_is_a_line_of_the_step_in_a_log() -> None:
    stream = io.StringIO()
    with downloads.reported(stream):
        fields = {
            "mb": 120.5,
            "total_mb": 268.0,
            "mb_per_second": 12.05,
            "seconds_left": 12,
        }
        fetching.log.info("fetching", extra={"fields": fields})
    fetching.log.info("fetching", extra={"fields": {}})
    assert stream.getvalue() == ("▸ [1/6] snapshot 120.5 of 268.0 MB, 12.05 MB/s, time left 12 s\n")
    assert fetching.log.level == logging.NOTSET


def _wait_for(stream: io.StringIO, text: str) -> None:
    deadline = time.monotonic() + 5
    while text not in stream.getvalue():
        assert time.monotonic() < deadline, stream.getvalue()
        time.sleep(0.01)

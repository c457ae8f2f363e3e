"""The lines a person sees of a step."""

from __future__ import annotations

import errno
import io
import logging
import re
from typing import TYPE_CHECKING

import pytest

from pipeline.preparation.progress import Lines, StepError, step
from storage_init.base.errors import WarmstartError
from storage_init.sources.transfer import progress as fetching

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log() -> Lines:
    return Lines(io.StringIO())


def written(log: Lines) -> str:
    assert isinstance(log.stream, io.StringIO)
    return log.stream.getvalue()


def test_a_step_reports_its_start_and_what_it_said_and_took(log: Lines) -> None:
    with step("quantize", log) as done:
        assert written(log) == "▸ [4/6] quantize …\n"
        done.detail = "dynamic, per channel"
    last = written(log).splitlines()[-1]
    assert re.fullmatch(r"✓ \[4/6\] quantize +\d+\.\d s +[\d.]+ [MG]B  dynamic, per channel", last)
    assert done.peak_bytes > 1e6


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            WarmstartError("cannot be exported:\nopset 18 lacks operator X"),
            "cannot be exported: opset 18 lacks operator X",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/store/model.onnx"),
            "no space is left for /store/model.onnx: make room or use a larger volume, then start "
            "again",
        ),
        (
            ValueError("seven is\nno number"),
            "failed unexpectedly: ValueError: seven is no number "
            "(WARMSTART_LOG_LEVEL=DEBUG shows the traceback)",
        ),
    ],
)
def test_a_failure_is_one_line_that_names_the_step(
    error: Exception, message: str, log: Lines
) -> None:
    with pytest.raises(StepError) as failed, step("export", log):
        raise error
    assert str(failed.value) == f"[2/6] export   {message}"
    assert failed.value.unexpected != isinstance(error, WarmstartError)


def test_a_failure_names_what_a_person_knows(log: Lines) -> None:
    def named(said: str) -> str:
        return said.replace("/work/source", "hf://owner/name")

    with (
        pytest.raises(StepError, match=r"hf://owner/name/config\.json"),
        step("export", log, named),
    ):
        raise WarmstartError("/work/source/config.json is wrong")


def test_a_log_shows_how_much_of_a_download_has_arrived(log: Lines, tmp_path: Path) -> None:
    fields = {"mb": 120.5, "total_mb": 268.0, "mb_per_second": 12.05, "seconds_left": 12}
    with log.downloading(tmp_path, lambda: 268_000_000):
        fetching.log.info("fetching", extra={"fields": fields})
    fetching.log.info("fetching", extra={"fields": fields})
    assert written(log) == "▸ [1/6] snapshot 120.5 of 268.0 MB, 12.05 MB/s, time left 12 s\n"
    assert fetching.log.level == logging.NOTSET

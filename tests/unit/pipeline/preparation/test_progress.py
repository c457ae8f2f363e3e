"""The lines a person sees of a step."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest

from pipeline.preparation.outcome import Outcome, collect, component
from pipeline.preparation.progress import StepError, finished, step
from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_step_says_when_it_starts_and_what_came_out(capsys: pytest.CaptureFixture[str]) -> None:
    with step("quantize") as outcome:
        assert capsys.readouterr().out == "▸ [4/6] quantize …\n"
        outcome.detail = "dynamic, per channel"
    line = capsys.readouterr().out
    assert re.fullmatch(
        r"✓ \[4/6\] quantize +\d+\.\d s +[\d.]+ [MG]B  dynamic, per channel\n", line
    )


def test_a_failure_names_the_step_and_is_one_line() -> None:
    # A local run finds a step's failure by its mark, so the rest of a message would be lost.
    with pytest.raises(StepError) as failed, step("export"):
        raise WarmstartError("cannot be exported:\nopset 18 lacks operator X")
    assert str(failed.value) == "[2/6] export   cannot be exported: opset 18 lacks operator X"


def test_a_components_failure_ends_the_process_with_its_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped, component(tmp_path / "w"), step("export"):
        raise WarmstartError("no fast tokenizer")
    assert stopped.value.code == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["✗ [2/6] export   no fast tokenizer"]


def test_progress_may_go_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    progress = io.StringIO()
    with step("publish", progress):
        pass
    assert [line[:16] for line in progress.getvalue().splitlines()] == [
        "▸ [6/6] publish ",
        "✓ [6/6] publish ",
    ]
    assert capsys.readouterr().out == ""


def test_any_other_error_keeps_its_traceback_and_is_left_for_the_exit_handler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError), component(tmp_path / "w"), step("export"):
        _ = 1 / 0
    assert "✗" not in capsys.readouterr().out
    assert collect(tmp_path / "w") == Outcome("failed", "ZeroDivisionError: division by zero")


def test_what_a_step_took_can_be_read_back_from_its_line() -> None:
    progress = io.StringIO()
    with step("evaluate", progress) as outcome:
        outcome.detail = "fp32: worst cosine 1.0"
    done = finished(progress.getvalue().splitlines()[-1])
    assert done is not None
    assert (done.step, done.detail) == ("evaluate", "fp32: worst cosine 1.0")
    assert outcome.peak_bytes > 1e6
    assert finished("✓ already prepared from this source and recipe") is None

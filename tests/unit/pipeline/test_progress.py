"""The lines a person sees of a step."""

from __future__ import annotations

import re

import pytest

from pipeline.progress import step
from storage_init.errors import WarmstartError


def test_a_step_says_when_it_starts_and_what_came_out(capsys: pytest.CaptureFixture[str]) -> None:
    with step("quantize") as outcome:
        assert capsys.readouterr().out == "▸ [4/6] quantize …\n"
        outcome.detail = "dynamic, per channel"
    line = capsys.readouterr().out
    assert re.fullmatch(r"✓ \[4/6\] quantize +\d+\.\d s  dynamic, per channel\n", line)


def test_an_error_a_person_can_act_on_ends_the_process_with_its_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped, step("export"):
        raise WarmstartError("no fast tokenizer")
    assert stopped.value.code == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["✗ [2/6] export   no fast tokenizer"]


def test_a_message_of_several_lines_is_reported_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    # A local run finds a step's failure by its mark, so the rest of a message would be lost.
    with pytest.raises(SystemExit), step("export"):
        raise WarmstartError("cannot be exported:\nopset 18 lacks operator X")
    (line,) = capsys.readouterr().out.splitlines()[1:]
    assert "opset 18 lacks operator X" in line


def test_any_other_error_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), step("export"):
        _ = 1 / 0
    assert "✗" not in capsys.readouterr().out

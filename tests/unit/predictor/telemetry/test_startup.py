"""The phases of a start, counted from the start of the process."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from predictor.telemetry.startup import STAT, Start

if TYPE_CHECKING:
    from pathlib import Path


def test_time_before_the_first_line_of_python_counts() -> None:
    code = (
        "import time; time.sleep(0.3); from predictor.telemetry.startup import Start; "
        "start = Start(); start.mark('first'); print(start.seconds['first'])"
    )
    before = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    whole = time.perf_counter() - before
    # The kernel counts in hundredths.
    assert 0.3 <= float(done.stdout) <= whole + 0.01


def test_each_phase_has_the_time_of_its_end() -> None:
    start = Start()
    for phase in ("python", "imports", "ready"):
        start.mark(phase)
    assert list(start.seconds) == ["python", "imports", "ready"]
    assert sorted(start.seconds.values()) == list(start.seconds.values())


def test_a_command_with_spaces_and_brackets_is_skipped(tmp_path: Path) -> None:
    head, _, rest = STAT.read_text().partition("(")
    path = tmp_path / "stat"
    path.write_text(f"{head}(a) strange (name) 7{rest[rest.rindex(')') :]}")
    renamed, real = Start(path), Start()
    renamed.mark("now")
    real.mark("now")
    assert renamed.seconds["now"] == pytest.approx(real.seconds["now"], abs=1)


@pytest.mark.parametrize("content", [None, "", "1 (x) S", "1 (x) " + "S " * 30])
def test_without_the_processs_age_the_start_counts_from_its_first_line(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "stat"
    if content is not None:
        path.write_text(content)
    before = time.perf_counter()
    start = Start(path)
    start.mark("now")
    assert 0 <= start.seconds["now"] <= time.perf_counter() - before

"""A skip fails a run in CI, unless its reason is on the list."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.support.machine.skips import SkipReport

def pytest_configure(config):
    config.pluginmanager.register(SkipReport())
"""
TEST = """
import pytest

@pytest.mark.skip(reason={reason!r})
def test_something():
    pass
"""
MODULE = """
import pytest

pytest.importorskip("no_such_module")
"""


def run(folder: Path, test: str, ci: str, arguments: Sequence[str]) -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(test)
    (folder / "test_passes.py").write_text("def test_it(): pass")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments, str(folder)],
        cwd=folder,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("test", "ci", "code", "said"),
    [
        (TEST.format(reason="no promtool"), "true", 1, "SKIPPED, which fails this run: "),
        (TEST.format(reason="cannot mount file systems here: no"), "true", 0, "as it may be: "),
        (MODULE, "true", 1, "SKIPPED, which fails this run: test_it.py: could not import"),
        (TEST.format(reason="no promtool"), "", 0, ""),
    ],
    ids=["unexpected", "allowed", "a module", "not in CI"],
)
def test_a_skip_in_ci_fails_the_run_unless_it_is_allowed(
    tmp_path: Path, test: str, ci: str, code: int, said: str
) -> None:
    returned, output = run(tmp_path, test, ci, [])
    assert returned == code
    assert said in output


def test_workers_skips_count_too(tmp_path: Path) -> None:
    code, said = run(tmp_path, TEST.format(reason="no promtool"), "true", ["-n", "1"])
    assert code == 1
    assert "SKIPPED, which fails this run: test_it.py::test_something: no promtool" in said
